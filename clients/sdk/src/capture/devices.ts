import { captureError, WeirError } from "../errors.js";
import { type MicrophoneOptions, type VideoOptions, videoSize } from "./presets.js";

/** Camera, microphone or speaker. */
export interface Device {
  deviceId: string;
  /** Name of the device; empty until the page may use one of its kind. */
  label: string;
}

/** Available devices. */
export interface Devices {
  cameras: Device[];
  microphones: Device[];
  speakers: Device[];
}

/** Lists the available devices. */
export async function devices(): Promise<Devices> {
  const all = await mediaDevices("device").enumerateDevices();
  const of = (kind: MediaDeviceKind) =>
    all
      .filter((each) => each.kind === kind && each.deviceId !== "")
      .map(({ deviceId, label }) => ({ deviceId, label }));
  return { cameras: of("videoinput"), microphones: of("audioinput"), speakers: of("audiooutput") };
}

/** Calls `listener` when a device is plugged in or removed. Returns a function that removes the listener. */
export function onDeviceChange(listener: () => void): () => void {
  const source = mediaDevices("device");
  source.addEventListener("devicechange", listener);
  return () => source.removeEventListener("devicechange", listener);
}

/**
 * Captures a camera, for instance for a preview. Rejects with `permission_denied`, `device_not_found`,
 * `device_busy`, or `not_supported` on a page that may not capture.
 *
 * ```ts
 * const preview = await captureCamera({ preset: "360p" });
 * video.srcObject = new MediaStream([preview]);
 * ```
 */
export async function captureCamera(
  options: VideoOptions & { deviceId?: string } = {},
): Promise<MediaStreamTrack> {
  const { width, height, frameRate } = videoSize(options, "360p");
  return capture("camera", {
    video: {
      width: { ideal: width },
      height: { ideal: height },
      frameRate: { ideal: frameRate, max: frameRate },
      ...device(options.deviceId),
    },
  });
}

/** Captures a microphone. Rejects like {@link captureCamera}. */
export async function captureMicrophone(
  options: Pick<MicrophoneOptions, "deviceId" | "processing"> = {},
): Promise<MediaStreamTrack> {
  const processing = options.processing ?? true;
  return capture("microphone", {
    audio: {
      echoCancellation: processing,
      noiseSuppression: processing,
      autoGainControl: processing,
      ...device(options.deviceId),
    },
  });
}

/** Prompts the user for a screen. Returns its video track and, if `audio` is set and available, its audio track. */
export async function captureScreen(
  options: VideoOptions & { audio?: boolean } = {},
): Promise<MediaStreamTrack[]> {
  const { width, height, frameRate } = videoSize(options, "screen");
  const source = mediaDevices("screen");
  if (!source.getDisplayMedia) throw new WeirError("not_supported", "this browser cannot share the screen");
  try {
    const stream = await source.getDisplayMedia({
      video: {
        width: { max: width },
        height: { max: height },
        frameRate: { ideal: frameRate, max: frameRate },
      },
      audio: options.audio ?? false,
    });
    return stream.getTracks();
  } catch (error) {
    throw captureError("screen", error);
  }
}

async function capture(what: string, constraints: MediaStreamConstraints): Promise<MediaStreamTrack> {
  try {
    const stream = await mediaDevices(what).getUserMedia(constraints);
    const [track] = stream.getTracks();
    if (!track) throw new WeirError("device_not_found", `no ${what}`);
    return track;
  } catch (error) {
    throw captureError(what, error);
  }
}

function device(deviceId: string | undefined): MediaTrackConstraints {
  return deviceId === undefined ? {} : { deviceId: { exact: deviceId } };
}

function mediaDevices(what: string): MediaDevices {
  const { mediaDevices } = navigator;
  if (mediaDevices) return mediaDevices;
  throw new WeirError(
    "not_supported",
    `this page cannot use a ${what}: browsers allow cameras and microphones over https and on localhost only`,
  );
}
