import { candidates, encodable } from "../codecs/families.js";
import { WeirError } from "../errors.js";
import { AudioTrackEncoder } from "./audio-encoder.js";
import type { EncoderHost, Encoding, TrackEncoder } from "./encoder.js";
import { recorderType, TrackRecorder } from "./recorder.js";
import { VideoTrackEncoder } from "./video-encoder.js";

/**
 * Opens an encoder: WebCodecs where the browser has it, MediaRecorder otherwise. `others` are the codecs that
 * each other member decodes. Rejects with `not_supported` if neither encodes the track.
 */
export async function openEncoder(
  host: EncoderHost,
  { bitrate, size, codec }: Encoding,
  others: readonly (readonly string[] | undefined)[],
): Promise<TrackEncoder> {
  if (size && typeof VideoEncoder !== "undefined") {
    const order = codec ? [codec] : candidates(others, navigator.hardwareConcurrency);
    const found = await encodable(order, size);
    if (found) return new VideoTrackEncoder(host, found.family, size);
  } else if (!size && typeof AudioEncoder !== "undefined") {
    return new AudioTrackEncoder(host, bitrate);
  }
  const recorded = recorderType(size ? "video" : "audio");
  if (recorded) return new TrackRecorder(host, recorded, bitrate, size);
  const what = size ? `video of ${size.width}×${size.height}${codec ? ` as ${codec}` : ""}` : "audio";
  throw new WeirError("not_supported", `this browser cannot encode ${what}`);
}
