import type { Devices } from "@weir/sdk";
import { useEffect, useRef } from "preact/hooks";
import { Camera, Microphone } from "../parts/icons";
import { Meter } from "../parts/meter";
import { FailureNote } from "../parts/notice";
import { Select } from "../parts/select";
import type { Choices, usePreview } from "./use-preview";

interface Props {
  choices: Choices;
  change: (changes: Partial<Choices>) => void;
  preview: ReturnType<typeof usePreview>;
}

/** How one will look and sound, and with which devices. */
export function Preview({ choices, change, preview }: Props) {
  const { camera, microphone } = preview;
  return (
    <section class="preview" aria-label="Camera and microphone" data-testid="preview">
      <div class="stage">
        {camera.track ? (
          <SelfPicture track={camera.track} />
        ) : (
          <p class="empty">{choices.camera && !camera.problem ? "Starting the camera…" : "Camera off"}</p>
        )}
        <div class="stage-controls">
          <Meter track={microphone.track} />
          <button
            type="button"
            class="round"
            aria-pressed={choices.microphone}
            aria-label="Microphone"
            title="Microphone"
            data-testid="mic-toggle"
            onClick={() => change({ microphone: !choices.microphone })}
          >
            <Microphone off={!choices.microphone} />
          </button>
          <button
            type="button"
            class="round"
            aria-pressed={choices.camera}
            aria-label="Camera"
            title="Camera"
            data-testid="camera-toggle"
            onClick={() => change({ camera: !choices.camera })}
          >
            <Camera off={!choices.camera} />
          </button>
        </div>
      </div>
      {camera.problem && <FailureNote failure={camera.problem} />}
      {microphone.problem && <FailureNote failure={microphone.problem} />}
      <DeviceChoice choices={choices} change={change} devices={preview.devices} />
    </section>
  );
}

/** Which camera and which microphone. */
export function DeviceChoice({
  choices,
  change,
  devices,
}: {
  choices: Pick<Choices, "cameraId" | "microphoneId">;
  change: (changes: { cameraId: string } | { microphoneId: string }) => void;
  devices: Devices;
}) {
  return (
    <div class="devices">
      <Select
        label="Camera"
        value={choices.cameraId}
        options={devices.cameras}
        choose={(cameraId) => change({ cameraId })}
      />
      <Select
        label="Microphone"
        value={choices.microphoneId}
        options={devices.microphones}
        choose={(microphoneId) => change({ microphoneId })}
      />
    </div>
  );
}

/** One's own picture, as a mirror shows it. */
export function SelfPicture({ track }: { track: MediaStreamTrack }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = new MediaStream([track]);
  }, [track]);
  return <video ref={video} class="mirrored" aria-label="Your own picture" autoplay muted playsInline />;
}
