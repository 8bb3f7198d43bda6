/** Received chunk of a track, after the transform. */
export interface Chunk {
  /** Number of the chunk in its track. */
  seq: number;
  /** Microseconds on the track's clock. */
  ts: number;
  /** Whether decoding can start here. */
  key: boolean;
  /** Duration in microseconds, if the publisher sends it. */
  dur?: number;
  /** Whether the node cached the chunk for late joiners. */
  replay: boolean;
  payload: Uint8Array;
}

/** Track services that a player needs. */
export interface PlayerHost {
  /** Requests a key chunk, before which nothing can be shown. */
  needKey(): void;
  /** Reports that this browser cannot play the track after all. */
  unsupported(reason: string): void;
  /** Reports chunks that could not be decoded. */
  undecodable(chunks: number): void;
  /** Reports that the frame or sound of `ts` is presented. Audio has no size: 0 × 0. */
  shown(ts: number, width: number, height: number): void;
  /** Reports frames that were decoded but not shown. */
  dropped(frames: number): void;
  /** Reports how many times the audio buffer ran empty. */
  starved(times: number): void;
  /** Reports that the browser blocks audio. */
  blocked(): void;
}

/** Decoder and presenter of a track. */
interface Player {
  push(chunk: Chunk): void;
  /** Marks a gap. Playback continues at the next key chunk. */
  gap(): void;
  /** Audio level, 0 to 1. */
  readonly level: number;
  /** Length of the jitter buffer, in milliseconds. */
  readonly bufferMs: number;
  stop(): void;
}

/** Player of video. */
export interface PicturePlayer extends Player {
  /** Starts decoding, since the surface is no longer empty. */
  begin(): void;
}

/** Player of audio. */
export interface SoundPlayer extends Player {
  /** Volume, 0 to 1. */
  volume: number;
  /** Node whose output goes to the speakers. */
  readonly node: AudioNode | undefined;
  mediaStream(): MediaStream | undefined;
}
