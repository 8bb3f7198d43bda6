/** A chunk of a track as it arrived, after the transform. */
export interface MediaChunk {
  seq: number;
  /** Microseconds of the track's clock. */
  ts: number;
  key: boolean;
  dur?: number;
  /** Cached by the node for those who come late. */
  replay: boolean;
  payload: Uint8Array;
}

/** What a player works for. */
export interface PlayerHost {
  /** Nothing can be shown before the next key chunk. */
  needKey(): void;
  /** Reports that this browser cannot play the track after all. */
  unsupported(reason: string): void;
  /** So many chunks made no sense. */
  undecodable(chunks: number): void;
  /** The picture of `ts` is on the screen. */
  shown(ts: number, width: number, height: number): void;
  /** So many pictures were decoded and not shown. */
  dropped(frames: number): void;
  /** So many times there was no sound to play. */
  starved(times: number): void;
  /** The browser does not let it sound yet. */
  blocked(): void;
}

/** Decodes a track and presents it. */
export interface Player {
  push(chunk: MediaChunk): void;
  /** Chunks are missing here; the next one is a key chunk. */
  gap(): void;
  /** How loud it is now, 0 to 1. */
  readonly level: number;
  /** What is held back, in milliseconds. */
  readonly bufferMs: number;
  stop(): void;
}

/** A player of pictures. */
export interface PicturePlayer extends Player {
  /** There is something now that shows them. */
  begin(): void;
}

/** A player of sound. */
export interface SoundPlayer extends Player {
  /** 0 to 1. */
  volume: number;
  /** Where it goes to the speakers, for those who want to have it elsewhere too. */
  readonly node: AudioNode | undefined;
  mediaStream(): MediaStream | undefined;
}
