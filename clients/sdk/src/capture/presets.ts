/** How much picture is sent. */
export type VideoPreset = "180p" | "360p" | "540p" | "720p" | "1080p" | "screen";

export interface VideoOptions {
  /** What is not given by itself below. Default `360p`, and `screen` for a screen. */
  preset?: VideoPreset;
  /** Pixels. */
  width?: number;
  height?: number;
  /** Pictures a second. */
  frameRate?: number;
  /** Bits a second at most; less while the network takes less. */
  bitrate?: number;
  /** Only this codec, rather than the best one that everybody can decode. */
  codec?: VideoCodec;
}

export interface AudioOptions {
  /** Bits a second. Default 32,000. */
  bitrate?: number;
}

export interface MicrophoneOptions extends AudioOptions {
  deviceId?: string;
  /**
   * Have the browser take out echo and noise, and level the loudness, which is right for speech and
   * wrong for music. Default true.
   */
  processing?: boolean;
}

export type VideoCodec = "vp8" | "vp9" | "h264" | "av1";

export interface VideoSize {
  width: number;
  height: number;
  frameRate: number;
  bitrate: number;
}

const PRESETS: Record<VideoPreset, VideoSize> = {
  "180p": { width: 320, height: 180, frameRate: 15, bitrate: 150_000 },
  "360p": { width: 640, height: 360, frameRate: 30, bitrate: 700_000 },
  "540p": { width: 960, height: 540, frameRate: 30, bitrate: 1_200_000 },
  "720p": { width: 1280, height: 720, frameRate: 30, bitrate: 2_000_000 },
  "1080p": { width: 1920, height: 1080, frameRate: 30, bitrate: 4_000_000 },
  screen: { width: 1920, height: 1080, frameRate: 15, bitrate: 2_500_000 },
};

/** `options` with every value that they leave out. */
export function videoSize(options: VideoOptions, preset: VideoPreset): VideoSize {
  const base = PRESETS[options.preset ?? preset];
  return {
    width: options.width ?? base.width,
    height: options.height ?? base.height,
    frameRate: options.frameRate ?? base.frameRate,
    bitrate: options.bitrate ?? base.bitrate,
  };
}
