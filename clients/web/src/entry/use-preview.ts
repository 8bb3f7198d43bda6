import { captureCamera, captureMicrophone, type Devices, devices, onDeviceChange } from "@weir/sdk";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failure } from "../failures";

/** What somebody wants to be seen and heard with; a device is the browser's own choice if it is `undefined`. */
export interface Choices {
  camera: boolean;
  microphone: boolean;
  cameraId: string | undefined;
  microphoneId: string | undefined;
}

const NO_DEVICES: Devices = { cameras: [], microphones: [], speakers: [] };

/** The devices that there are, kept up to date. */
export function useDevices(): { devices: Devices; refresh: () => void } {
  const [known, setKnown] = useState(NO_DEVICES);
  const refresh = useCallback(() => {
    // Where pages may use none, there are none.
    devices().then(setKnown, () => setKnown(NO_DEVICES));
  }, []);
  useEffect(() => {
    refresh();
    if (!navigator.mediaDevices) return;
    return onDeviceChange(refresh);
  }, [refresh]);
  return { devices: known, refresh };
}

interface Captured {
  track: MediaStreamTrack | undefined;
  problem: Failure | undefined;
}

/** Captures with `capture` for as long as it is wanted; anew whenever `key` changes. */
function useCapture(
  wanted: boolean,
  key: string | undefined,
  what: string,
  capture: (deviceId: string | undefined) => Promise<MediaStreamTrack>,
  captured: () => void,
): Captured {
  const [state, setState] = useState<Captured>({ track: undefined, problem: undefined });
  const latest = useRef({ capture, captured });
  latest.current = { capture, captured };
  useEffect(() => {
    if (!wanted) {
      setState({ track: undefined, problem: undefined });
      return;
    }
    let over = false;
    let track: MediaStreamTrack | undefined;
    const begin = async () => {
      try {
        track = await latest.current.capture(key);
        if (over) track.stop();
        else setState({ track, problem: undefined });
        latest.current.captured();
      } catch (error) {
        if (!over) setState({ track: undefined, problem: failure(error, what) });
      }
    };
    begin();
    return () => {
      over = true;
      track?.stop();
    };
  }, [wanted, key, what]);
  return state;
}

/** Camera and microphone as they will be in the room. They are let go when the page is left. */
export function usePreview(choices: Choices) {
  const { devices: known, refresh } = useDevices();
  const camera = useCapture(
    choices.camera,
    choices.cameraId,
    "Camera",
    (deviceId) => captureCamera(deviceId === undefined ? {} : { deviceId }),
    refresh,
  );
  const microphone = useCapture(
    choices.microphone,
    choices.microphoneId,
    "Microphone",
    (deviceId) => captureMicrophone(deviceId === undefined ? {} : { deviceId }),
    refresh,
  );
  return { devices: known, camera, microphone };
}
