import { type AudioOptions, type VideoOptions, videoSize } from "../capture/presets.js";
import type { Encoding } from "../encode/encoder.js";
import type { TrackDescription } from "../protocol.js";

const AUDIO_BITRATE = 32_000;

/**
 * Returns the announcement of `track`, and the parameters of its encoder. The video codec is chosen later,
 * from those that the other members decode.
 */
export function describe(
  track: MediaStreamTrack,
  options: VideoOptions & AudioOptions & { source?: string; name?: string },
): { description: TrackDescription; encoding: Encoding } {
  const { source, name } = options;
  const described = {
    ...(source === undefined ? {} : { source }),
    ...(name === undefined ? {} : { name }),
  };
  if (track.kind === "audio") {
    const { channelCount = 1 } = track.getSettings();
    return {
      description: {
        ...described,
        kind: "audio",
        codec: "opus",
        sampleRate: 48_000,
        channels: Math.min(2, channelCount),
      },
      encoding: { bitrate: options.bitrate ?? AUDIO_BITRATE },
    };
  }
  const max = videoSize(options, source === "screen" ? "screen" : "360p");
  const { width = max.width, height = max.height } = track.getSettings();
  return {
    description: { ...described, width, height, frameRate: max.frameRate, kind: "video", codec: "" },
    encoding: { bitrate: max.bitrate, size: max, ...(options.codec ? { codec: options.codec } : {}) },
  };
}
