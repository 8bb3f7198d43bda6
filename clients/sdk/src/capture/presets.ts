import type { VideoCodec } from "../codecs/families.js";

/** Named combination of size, frame rate and bitrate. */
export type VideoPreset = "180p" | "360p" | "540p" | "720p" | "1080p" | "screen";

/** Options for publishing video. */
export interface VideoOptions {
  /** Defaults for the values below. Default `360p`; `screen` for a screen. */
  preset?: VideoPreset;
  /** Maximum width, in pixels. */
  width?: number;
  /** Maximum height, in pixels. */
  height?: number;
  /** Maximum frame rate, in frames per second. */
  frameRate?: number;
  /** Maximum bitrate, in bits per second. The SDK lowers it while the network is congested. */
  bitrate?: number;
  /** Codec to use. Default: the best one that all members decode. */
  codec?: VideoCodec;
}

/** Options for publishing audio. */
export interface AudioOptions {
  /** Bitrate, in bits per second. Default 32,000. */
  bitrate?: number;
}

/** Options for publishing a microphone. */
export interface MicrophoneOptions extends AudioOptions {
  deviceId?: string;
  /** Enable echo cancellation, noise suppression and automatic gain. Set false for music. Default true. */
  processing?: boolean;
}

/** Size, frame rate and bitrate of video. */
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

/** Returns `options` with missing values from their preset, or from `preset` by default. */
export function videoSize(options: VideoOptions, preset: VideoPreset): VideoSize {
  const base = PRESETS[options.preset ?? preset];
  return {
    width: options.width ?? base.width,
    height: options.height ?? base.height,
    frameRate: options.frameRate ?? base.frameRate,
    bitrate: options.bitrate ?? base.bitrate,
  };
}
