import { support } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { DeviceChoice } from "../devices/device-choice";
import { Select } from "../devices/select";
import { useDevices } from "../devices/use-devices";
import type { Media } from "../devices/use-media";

/** Dialog to choose devices during a call. */
export function Settings({ media, close }: { media: Media; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const { devices } = useDevices();
  const [speakerId, setSpeakerId] = useState<string | undefined>();
  const [chosen, setChosen] = useState(media.chosen);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="settings-title" onClose={close}>
      <h2 id="settings-title">Devices</h2>
      <DeviceChoice
        devices={devices}
        choices={chosen}
        change={(change) => {
          setChosen({ ...chosen, ...change });
          if ("cameraId" in change) media.chooseCamera(change.cameraId);
          else media.chooseMicrophone(change.microphoneId);
        }}
      />
      {support().speakerChoice && (
        <Select
          label="Speaker"
          value={speakerId}
          options={devices.speakers}
          choose={(id) => {
            setSpeakerId(id);
            media.chooseSpeaker(id);
          }}
        />
      )}
      <button type="button" class="primary wide" onClick={() => dialog.current?.close()}>
        Done
      </button>
    </dialog>
  );
}
