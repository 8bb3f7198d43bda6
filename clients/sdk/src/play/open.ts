import { fromBase64 } from "../base64.js";
import { codecFamily } from "../codecs/families.js";
import { normalCodec } from "../codecs/names.js";
import type { WireTrack } from "../protocol.js";
import { type Feed, MediaSourcePlayer, mediaSourcePlays } from "./container/media-source.js";
import { WebmWriter } from "./container/webm-writer.js";
import type { Surface } from "./picture/surface.js";
import { VideoPlayer } from "./picture/video-player.js";
import type { PicturePlayer, PlayerHost, SoundPlayer } from "./player.js";
import { AudioPlayer } from "./sound/audio-player.js";
import type { Lane } from "./timeline.js";

export interface Opened {
  player: PicturePlayer | SoundPlayer;
  /** Whether the browser decodes the track. Chunks must wait until this resolves. */
  supported: Promise<boolean>;
}

/**
 * Opens the player for a track: WebCodecs where available and the codec is not a container's, Media Source
 * Extensions otherwise. `undefined` if neither plays it.
 */
export function openPlayer(
  wire: WireTrack,
  surface: Surface,
  lane: Lane,
  host: PlayerHost,
): Opened | undefined {
  const { kind } = wire;
  const codec = normalCodec(wire.codec);
  const init = wire.init === undefined ? undefined : fromBase64(wire.init);
  const description = init ? { description: init } : {};
  if (kind === "data") return undefined;
  if (!codec.includes("/")) {
    if (kind === "video" && typeof VideoDecoder !== "undefined") {
      const config = { codec, ...description };
      const supported = answer(() => VideoDecoder.isConfigSupported(config));
      return { player: new VideoPlayer(config, surface, lane, host), supported };
    }
    if (kind === "audio" && typeof AudioDecoder !== "undefined") {
      const sampleRate = wire.sampleRate ?? 48_000;
      const config = { codec, sampleRate, numberOfChannels: wire.channels ?? 1, ...description };
      const supported = answer(() => AudioDecoder.isConfigSupported(config));
      return { player: new AudioPlayer(config, lane, host), supported };
    }
  }
  const feed = feedOf(wire, codec, init);
  if (!feed || !mediaSourcePlays(feed)) return undefined;
  return { player: new MediaSourcePlayer(kind, feed, surface, host), supported: Promise.resolve(true) };
}

/**
 * Awaits a support query. Invalid configurations, or unknown ones in older browsers, throw or reject:
 * `false`.
 */
async function answer(ask: () => Promise<{ supported?: boolean }>): Promise<boolean> {
  try {
    return (await ask()).supported === true;
  } catch {
    return false;
  }
}

function feedOf(wire: WireTrack, codec: string, init: Uint8Array | undefined): Feed | undefined {
  if (codec.includes("/")) return { type: codec, init };
  const family = codecFamily(codec);
  const { width = 640, height = 360, sampleRate = 48_000, channels = 1 } = wire;
  // The header stores the channel count in one byte, and more than two channels need a mapping.
  if (family === "opus" && channels <= 2)
    return { writer: new WebmWriter({ kind: "audio", codec: family, sampleRate, channels }) };
  if (family === "vp8" || family === "vp9")
    return { writer: new WebmWriter({ kind: "video", codec: family, width, height }) };
  return undefined;
}
