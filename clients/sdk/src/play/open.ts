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

/** Player, before the browser has confirmed that it decodes the track. */
interface OpenedPlayer {
  player: PicturePlayer | SoundPlayer;
  /** Whether the browser decodes the track. Chunks must wait until this resolves. */
  supported: Promise<boolean>;
}

/**
 * Opens the player for a track: WebCodecs for bare codecs where available, Media Source Extensions otherwise.
 * Returns `undefined` if neither plays the track.
 */
export function openPlayer(
  wire: WireTrack,
  surface: Surface,
  lane: Lane,
  host: PlayerHost,
): OpenedPlayer | undefined {
  const { kind } = wire;
  const codec = normalCodec(wire.codec);
  const init = wire.init === undefined ? undefined : fromBase64(wire.init);
  const description = init ? { description: init } : {};
  if (kind === "data") return undefined;
  if (!codec.includes("/")) {
    if (kind === "video" && typeof VideoDecoder !== "undefined") {
      const config = { codec, ...description };
      const supported = isSupported(() => VideoDecoder.isConfigSupported(config));
      return { player: new VideoPlayer(config, surface, lane, host), supported };
    }
    if (kind === "audio" && typeof AudioDecoder !== "undefined") {
      const sampleRate = wire.sampleRate ?? 48_000;
      const config = { codec, sampleRate, numberOfChannels: wire.channels ?? 1, ...description };
      const supported = isSupported(() => AudioDecoder.isConfigSupported(config));
      return { player: new AudioPlayer(config, lane, host), supported };
    }
  }
  const feed = feedOf(wire, codec, init);
  if (!feed || !mediaSourcePlays(feed)) return undefined;
  return { player: new MediaSourcePlayer(kind, feed, surface, host), supported: Promise.resolve(true) };
}

/**
 * Awaits a support query. Returns `false` if it throws, as for invalid configurations, or for unknown ones in
 * older browsers.
 */
async function isSupported(query: () => Promise<{ supported?: boolean }>): Promise<boolean> {
  try {
    return (await query()).supported === true;
  } catch {
    return false;
  }
}

/** Returns what to feed Media Source Extensions with; `undefined` if they cannot play the track. */
function feedOf(wire: WireTrack, codec: string, init: Uint8Array | undefined): Feed | undefined {
  if (codec.includes("/")) return { type: codec, init };
  const family = codecFamily(codec);
  const { width = 640, height = 360, sampleRate = 48_000, channels = 1 } = wire;
  // More than two channels need a channel mapping, which the header does not have.
  if (family === "opus" && channels <= 2)
    return { writer: new WebmWriter({ kind: "audio", codec: family, sampleRate, channels }) };
  if (family === "vp8" || family === "vp9")
    return { writer: new WebmWriter({ kind: "video", codec: family, width, height }) };
  return undefined;
}
