import type { LocalTrack, Room } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Choices } from "../entry/use-preview";
import { type Failure, failure } from "../failures";

/** One's own camera, microphone and screen in a room, and what is done with them. */
export function useMedia(room: Room, choices: Choices) {
  const [problem, setProblem] = useState<Failure | undefined>();
  const ids = useRef({ cameraId: choices.cameraId, microphoneId: choices.microphoneId });
  // One step after the other: a second click undoes the first one, however long that takes.
  const turns = useRef(new Map<string, Promise<void>>());
  const own = (source: string) => [...room.published].find((track) => track.source === source);

  const attempt = (what: string, step: () => Promise<unknown>) => {
    const turn = async () => {
      try {
        await turns.current.get(what);
        await step();
        setProblem(undefined);
      } catch (error) {
        setProblem(failure(error, what));
      }
    };
    turns.current.set(what, turn());
  };
  const device = (id: string | undefined) => (id === undefined ? {} : { deviceId: id });
  const publishCamera = () => room.publishCamera(device(ids.current.cameraId));
  const publishMicrophone = () => room.publishMicrophone(device(ids.current.microphoneId));
  const toggle = (track: LocalTrack | undefined, publish: () => Promise<unknown>) => {
    if (!track) return publish();
    return track.muted ? track.unmute() : track.mute();
  };

  useEffect(() => {
    if (choices.microphone) attempt("Microphone", publishMicrophone);
    if (choices.camera) attempt("Camera", publishCamera);
  }, [room]);

  const camera = own("camera");
  const microphone = own("microphone");
  const screen = own("screen");
  return {
    camera,
    microphone,
    screen,
    cameraOn: camera !== undefined && !camera.muted,
    microphoneOn: microphone !== undefined && !microphone.muted,
    problem,
    dismiss: () => setProblem(undefined),
    toggleCamera: () => attempt("Camera", () => toggle(own("camera"), publishCamera)),
    toggleMicrophone: () => attempt("Microphone", () => toggle(own("microphone"), publishMicrophone)),
    toggleScreen: () =>
      attempt("Screen", async () => {
        const shared = [...room.published].filter(({ source }) => source?.startsWith("screen"));
        if (shared.length === 0) await room.publishScreen({ audio: true });
        for (const track of shared) await track.unpublish();
      }),
    chosen: ids.current,
    chooseCamera: (id: string) => {
      ids.current.cameraId = id;
      return attempt("Camera", async () => own("camera")?.setDevice(id));
    },
    chooseMicrophone: (id: string) => {
      ids.current.microphoneId = id;
      return attempt("Microphone", async () => own("microphone")?.setDevice(id));
    },
    chooseSpeaker: (id: string) => attempt("Speaker", () => room.setSpeaker(id)),
  };
}

export type Media = ReturnType<typeof useMedia>;
