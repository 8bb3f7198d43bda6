import { captureCamera, captureMicrophone, type Devices } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failure } from "../failures";
import type { Choices } from "./choices";
import { useDevices } from "./use-devices";

/** Capture for the preview, or why it failed. */
interface PreviewCapture {
  track: MediaStreamTrack | undefined;
  problem: Failure | undefined;
}

/** Preview of camera and microphone. */
export interface PreviewState {
  devices: Devices;
  camera: PreviewCapture;
  microphone: PreviewCapture;
}

/** Captures the chosen camera and microphone for a preview, until the page is left. */
export function usePreview(choices: Choices): PreviewState {
  const { devices, refresh } = useDevices();
  const camera = useCapture({
    wanted: choices.camera,
    deviceId: choices.cameraId,
    what: "Camera",
    capture: captureCamera,
    captured: refresh,
  });
  const microphone = useCapture({
    wanted: choices.microphone,
    deviceId: choices.microphoneId,
    what: "Microphone",
    capture: captureMicrophone,
    captured: refresh,
  });
  return { devices, camera, microphone };
}

interface CaptureOptions {
  wanted: boolean;
  deviceId: string | undefined;
  /** Name of the device in failures. */
  what: string;
  capture: (options: { deviceId?: string }) => Promise<MediaStreamTrack>;
  captured: () => void;
}

/** Captures a device while it is wanted, and again whenever another device is chosen. */
function useCapture({ wanted, deviceId, what, capture, captured }: CaptureOptions): PreviewCapture {
  const [state, setState] = useState<PreviewCapture>({ track: undefined, problem: undefined });
  const latest = useRef({ capture, captured });
  latest.current = { capture, captured };
  useEffect(() => {
    if (!wanted) {
      setState({ track: undefined, problem: undefined });
      return;
    }
    let over = false;
    let track: MediaStreamTrack | undefined;
    const start = async () => {
      try {
        track = await latest.current.capture(deviceId === undefined ? {} : { deviceId });
        if (over) track.stop();
        else setState({ track, problem: undefined });
        latest.current.captured();
      } catch (error) {
        if (!over) setState({ track: undefined, problem: failure(error, what) });
      }
    };
    start();
    return () => {
      over = true;
      track?.stop();
    };
  }, [wanted, deviceId, what]);
  return state;
}
