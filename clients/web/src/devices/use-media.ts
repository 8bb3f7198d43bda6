import type { LocalTrack, Room } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failure } from "../failures";
import type { Choices, DeviceIds } from "./choices";

/** Own camera, microphone and screen in a room, and the actions on them. */
export interface Media {
  camera: LocalTrack | undefined;
  screen: LocalTrack | undefined;
  cameraOn: boolean;
  microphoneOn: boolean;
  /** Failure of the last action. */
  problem: Failure | undefined;
  dismiss: () => void;
  toggleCamera: () => void;
  toggleMicrophone: () => void;
  toggleScreen: () => void;
  chosen: DeviceIds;
  chooseCamera: (id: string) => void;
  chooseMicrophone: (id: string) => void;
  chooseSpeaker: (id: string) => void;
}

/** Publishes the chosen devices in `room`, and returns the actions on them. */
export function useMedia(room: Room, choices: Choices): Media {
  const { attempt, problem, dismiss } = useAttempts();
  const ids = useRef<DeviceIds>({ cameraId: choices.cameraId, microphoneId: choices.microphoneId });
  const publishCamera = () => room.publishCamera(device(ids.current.cameraId));
  const publishMicrophone = () => room.publishMicrophone(device(ids.current.microphoneId));

  useEffect(() => {
    if (choices.microphone) attempt("Microphone", publishMicrophone);
    if (choices.camera) attempt("Camera", publishCamera);
  }, [room]);

  const camera = published(room, "camera");
  const microphone = published(room, "microphone");
  return {
    camera,
    screen: published(room, "screen"),
    cameraOn: camera !== undefined && !camera.muted,
    microphoneOn: microphone !== undefined && !microphone.muted,
    problem,
    dismiss,
    toggleCamera: () => attempt("Camera", () => toggle(published(room, "camera"), publishCamera)),
    toggleMicrophone: () =>
      attempt("Microphone", () => toggle(published(room, "microphone"), publishMicrophone)),
    toggleScreen: () => attempt("Screen", () => toggleScreen(room)),
    chosen: ids.current,
    chooseCamera: (id) => {
      ids.current.cameraId = id;
      attempt("Camera", async () => published(room, "camera")?.setDevice(id));
    },
    chooseMicrophone: (id) => {
      ids.current.microphoneId = id;
      attempt("Microphone", async () => published(room, "microphone")?.setDevice(id));
    },
    chooseSpeaker: (id) => attempt("Speaker", () => room.setSpeaker(id)),
  };
}

/** Runs actions on the same device one at a time, so that a second click undoes the first one. */
function useAttempts() {
  const [problem, setProblem] = useState<Failure | undefined>();
  const last = useRef(new Map<string, Promise<void>>());
  const attempt = (what: string, step: () => Promise<unknown>): void => {
    const run = async () => {
      try {
        await last.current.get(what);
        await step();
        setProblem(undefined);
      } catch (error) {
        setProblem(failure(error, what));
      }
    };
    last.current.set(what, run());
  };
  return { attempt, problem, dismiss: () => setProblem(undefined) };
}

function published(room: Room, source: string): LocalTrack | undefined {
  return [...room.published].find((track) => track.source === source);
}

async function toggle(track: LocalTrack | undefined, publish: () => Promise<unknown>): Promise<void> {
  if (!track) await publish();
  else if (track.muted) await track.unmute();
  else await track.mute();
}

async function toggleScreen(room: Room): Promise<void> {
  const shared = [...room.published].filter(({ source }) => source?.startsWith("screen"));
  if (shared.length === 0) await room.publishScreen({ audio: true });
  for (const track of shared) await track.unpublish();
}

function device(deviceId: string | undefined): { deviceId?: string } {
  return deviceId === undefined ? {} : { deviceId };
}
