import type { Choices } from "../devices/choices";
import { DeviceChoice } from "../devices/device-choice";
import { Meter } from "../devices/meter";
import { SelfView } from "../devices/stream-video";
import type { PreviewState } from "../devices/use-preview";
import { FailureNote } from "../parts/failure-note";
import { Camera, Microphone } from "../parts/icons";

interface Props {
  choices: Choices;
  change: (changes: Partial<Choices>) => void;
  preview: PreviewState;
}

/** Preview of camera and microphone, with the choice of devices. */
export function Preview({ choices, change, preview }: Props) {
  const { camera, microphone } = preview;
  return (
    <section class="preview" aria-label="Camera and microphone" data-testid="preview">
      <div class="stage">
        {camera.track ? (
          <SelfView track={camera.track} />
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
