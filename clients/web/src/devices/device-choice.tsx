import type { Devices } from "@weir/sdk";
import type { DeviceIds } from "./choices";
import { Select } from "./select";

interface Props {
  choices: DeviceIds;
  change: (changes: { cameraId: string } | { microphoneId: string }) => void;
  devices: Devices;
}

/** Choice of a camera and a microphone. */
export function DeviceChoice({ choices, change, devices }: Props) {
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
