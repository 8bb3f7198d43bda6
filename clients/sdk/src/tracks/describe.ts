import { type AudioOptions, type VideoOptions, videoSize } from "../capture/presets.js";
import type { TrackDescription } from "../protocol.js";
import type { Encoding } from "./local-track.js";

const AUDIO_BITRATE = 32_000;

/**
 * How `track` is announced, and how it is encoded. The codec of video is open until it is known what the
 * others decode.
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
  const most = videoSize(options, source === "screen" ? "screen" : "360p");
  const { width = most.width, height = most.height } = track.getSettings();
  return {
    description: { ...described, width, height, frameRate: most.frameRate, kind: "video", codec: "" },
    encoding: { bitrate: most.bitrate, size: most, ...(options.codec ? { codec: options.codec } : {}) },
  };
}
