/** Video codecs that the SDK encodes. */
export type VideoCodec = "vp8" | "vp9" | "h264" | "av1";

/** Properties of encoded video. */
interface VideoFormat {
  width: number;
  height: number;
  frameRate: number;
}

/** Codecs by compression efficiency, as far as software encoders keep up. */
const PREFERENCE: readonly VideoCodec[] = ["vp9", "vp8", "h264", "av1"];
/** Preference on machines with few cores. */
const LIGHT_PREFERENCE: readonly VideoCodec[] = ["vp8", "h264", "vp9", "av1"];
const FEW_CORES = 4;

export const OPUS = "opus";

/**
 * Returns the WebCodecs codec string for video of this size: a profile that every decoder has, at the lowest
 * sufficient level.
 */
export function codecString(codec: VideoCodec, { width, height, frameRate }: VideoFormat): string {
  const samples = width * height * frameRate;
  switch (codec) {
    case "vp8":
      return "vp8";
    // VP9 levels 3.0, 3.1, 4.0, 5.0 by luma samples per second.
    case "vp9":
      return `vp09.00.${samples <= 20_736_000 ? 30 : samples <= 36_864_000 ? 31 : samples <= 83_558_400 ? 40 : 50}.08`;
    // Constrained baseline; ITU-T H.264, table A-1: levels 3.0, 3.1, 4.0, 5.1 by macroblocks per second.
    case "h264": {
      const blocks = samples / 256;
      return `avc1.42E0${blocks <= 40_500 ? "1E" : blocks <= 108_000 ? "1F" : blocks <= 245_760 ? "28" : "33"}`;
    }
    // AV1, annex A.3: levels 3.0, 3.1, 4.0, 5.0 by samples per second.
    case "av1":
      return `av01.0.${samples <= 19_975_680 ? "04" : samples <= 31_950_720 ? "05" : samples <= 70_778_880 ? "08" : "12"}M.08`;
  }
}

/** Returns the family of a codec string; `undefined` for a codec that the SDK does not encode. */
export function codecFamily(codec: string): VideoCodec | typeof OPUS | undefined {
  if (codec === "vp8" || codec.startsWith("vp08")) return "vp8";
  if (codec.startsWith("vp09") || codec === "vp9") return "vp9";
  if (codec.startsWith("avc1") || codec.startsWith("avc3")) return "h264";
  if (codec.startsWith("av01")) return "av1";
  if (codec === OPUS) return OPUS;
  return undefined;
}

let decodable: Promise<string[]> | undefined;

/** Returns the codec families that this browser decodes. Queries the browser once. */
export function decodes(): Promise<string[]> {
  decodable ??= queryDecoders();
  return decodable;
}

async function queryDecoders(): Promise<string[]> {
  const size = { width: 640, height: 360, frameRate: 30 };
  const families: string[] = [];
  for (const codec of PREFERENCE) {
    if (await decodesVideo(codecString(codec, size))) families.push(codec);
  }
  if (typeof AudioDecoder === "undefined") {
    if (mediaSourcePlays(`audio/webm;codecs="opus"`)) families.push(OPUS);
  } else {
    const answer = await AudioDecoder.isConfigSupported({
      codec: OPUS,
      sampleRate: 48_000,
      numberOfChannels: 2,
    });
    if (answer.supported) families.push(OPUS);
  }
  return families;
}

async function decodesVideo(codec: string): Promise<boolean> {
  if (typeof VideoDecoder === "undefined") {
    const family = codecFamily(codec);
    return (family === "vp8" || family === "vp9") && mediaSourcePlays(`video/webm;codecs="${family}"`);
  }
  return (await VideoDecoder.isConfigSupported({ codec })).supported === true;
}

function mediaSourcePlays(type: string): boolean {
  return typeof MediaSource !== "undefined" && MediaSource.isTypeSupported(type);
}

/**
 * Returns the codecs to publish with, the best first: those that all `others` decode. `undefined` stands for a
 * member that decodes everything. Without a common codec, returns all of them.
 */
export function candidates(others: readonly (readonly string[] | undefined)[], cores: number): VideoCodec[] {
  const order = cores <= FEW_CORES ? LIGHT_PREFERENCE : PREFERENCE;
  const common = order.filter((codec) =>
    others.every((decodes) => decodes === undefined || decodes.includes(codec)),
  );
  return common.length > 0 ? common : [...order];
}

/** Returns the first of `codecs` that this browser encodes at this size. */
export async function encodable(
  codecs: readonly VideoCodec[],
  size: VideoFormat & { bitrate: number },
): Promise<{ family: VideoCodec; config: VideoEncoderConfig } | undefined> {
  for (const family of codecs) {
    const config = encoderConfig(family, size);
    try {
      if ((await VideoEncoder.isConfigSupported(config)).supported) return { family, config };
    } catch {
      // Browsers throw for a codec string that they do not know.
    }
  }
  return undefined;
}

/** Returns the encoder configuration for live video. */
export function encoderConfig(
  family: VideoCodec,
  size: VideoFormat & { bitrate: number },
): VideoEncoderConfig {
  return {
    codec: codecString(family, size),
    width: size.width,
    height: size.height,
    framerate: size.frameRate,
    bitrate: size.bitrate,
    bitrateMode: "variable",
    latencyMode: "realtime",
    // In-band parameter sets, so that a late joiner needs only a key chunk.
    ...(family === "h264" ? { avc: { format: "annexb" as const } } : {}),
  };
}
