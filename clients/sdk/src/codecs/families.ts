import type { VideoCodec, VideoSize } from "../capture/presets.js";

/** In order of how much picture they give for their bits, as far as encoding in software keeps up. */
const PREFERENCE: readonly VideoCodec[] = ["vp9", "vp8", "h264", "av1"];
/** The same where there are few cores to encode with. */
const LIGHT_PREFERENCE: readonly VideoCodec[] = ["vp8", "h264", "vp9", "av1"];
const FEW_CORES = 4;

export const OPUS = "opus";

/**
 * The codec string of the WebCodecs registry for pictures of this size: profile and level that every
 * decoder has, as low as the size allows.
 */
export function codecString(
  codec: VideoCodec,
  { width, height, frameRate }: Omit<VideoSize, "bitrate">,
): string {
  const samples = width * height * frameRate;
  switch (codec) {
    case "vp8":
      return "vp8";
    // VP9 levels 3.0, 3.1, 4.0, 5.0 by luma samples a second.
    case "vp9":
      return `vp09.00.${samples <= 20_736_000 ? 30 : samples <= 36_864_000 ? 31 : samples <= 83_558_400 ? 40 : 50}.08`;
    // Constrained baseline; ITU-T H.264, table A-1: levels 3.0, 3.1, 4.0, 5.1 by macroblocks a second.
    case "h264": {
      const blocks = samples / 256;
      return `avc1.42E0${blocks <= 40_500 ? "1E" : blocks <= 108_000 ? "1F" : blocks <= 245_760 ? "28" : "33"}`;
    }
    // AV1, annex A.3: levels 3.0, 3.1, 4.0, 5.0 by samples a second.
    case "av1":
      return `av01.0.${samples <= 19_975_680 ? "04" : samples <= 31_950_720 ? "05" : samples <= 70_778_880 ? "08" : "12"}M.08`;
  }
}

/** Which of the codecs a codec string is of; `undefined` for what is none of them. */
export function codecFamily(codec: string): VideoCodec | typeof OPUS | undefined {
  if (codec === "vp8" || codec.startsWith("vp08")) return "vp8";
  if (codec.startsWith("vp09") || codec === "vp9") return "vp9";
  if (codec.startsWith("avc1") || codec.startsWith("avc3")) return "h264";
  if (codec.startsWith("av01")) return "av1";
  if (codec === OPUS) return OPUS;
  return undefined;
}

let decodable: Promise<string[]> | undefined;

/** Which codecs this browser decodes, by {@link codecFamily}; asked once. */
export function decodes(): Promise<string[]> {
  decodable ??= askDecoders();
  return decodable;
}

async function askDecoders(): Promise<string[]> {
  const size = { width: 640, height: 360, frameRate: 30 };
  const families: string[] = [];
  for (const codec of PREFERENCE) {
    if (await decodesVideo(codecString(codec, size))) families.push(codec);
  }
  if (typeof AudioDecoder === "undefined") {
    if (mediaSourceTakes(`audio/webm;codecs="opus"`)) families.push(OPUS);
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
    return (family === "vp8" || family === "vp9") && mediaSourceTakes(`video/webm;codecs="${family}"`);
  }
  return (await VideoDecoder.isConfigSupported({ codec })).supported === true;
}

function mediaSourceTakes(type: string): boolean {
  return typeof MediaSource !== "undefined" && MediaSource.isTypeSupported(type);
}

/**
 * The codecs to publish with, the best first: what `others` decode all, where anybody of them said what
 * they decode. Without a common one, the order as if nobody had said anything.
 */
export function candidates(others: readonly (readonly string[] | undefined)[], cores: number): VideoCodec[] {
  const order = cores <= FEW_CORES ? LIGHT_PREFERENCE : PREFERENCE;
  const common = order.filter((codec) =>
    others.every((decodes) => decodes === undefined || decodes.includes(codec)),
  );
  return common.length > 0 ? common : [...order];
}

/** The first of `codecs` that this browser encodes at this size. */
export async function encodable(
  codecs: readonly VideoCodec[],
  size: VideoSize,
): Promise<{ family: VideoCodec; config: VideoEncoderConfig } | undefined> {
  for (const family of codecs) {
    const config = encoderConfig(family, size);
    try {
      if ((await VideoEncoder.isConfigSupported(config)).supported) return { family, config };
    } catch {
      // A browser that does not know the codec string throws instead of saying no.
    }
  }
  return undefined;
}

export function encoderConfig(family: VideoCodec, size: VideoSize): VideoEncoderConfig {
  return {
    codec: codecString(family, size),
    width: size.width,
    height: size.height,
    framerate: size.frameRate,
    bitrate: size.bitrate,
    bitrateMode: "variable",
    latencyMode: "realtime",
    // In-band parameter sets: whoever comes late needs nothing but a key chunk.
    ...(family === "h264" ? { avc: { format: "annexb" as const } } : {}),
  };
}
