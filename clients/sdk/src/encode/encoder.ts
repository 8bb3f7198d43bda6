import type { WeirError } from "../errors.js";

/** A chunk as it comes out of an encoder. */
export interface Encoded {
  /** When it was captured, in milliseconds of `performance.now()`. */
  atMs: number;
  key: boolean;
  durationUs?: number;
  payload: Uint8Array;
  /** The picture's size, where it is one. */
  width?: number;
  height?: number;
}

/** What an encoder works for. */
export interface EncoderHost {
  /** Whether chunks can be sent now; what is captured meanwhile is not encoded. */
  open(): boolean;
  /** Bytes that wait for the network. */
  backlog(): number;
  send(chunk: Encoded): void;
  /** It has ended by itself. */
  failed(error: WeirError): void;
}

/** Encodes what a MediaStreamTrack delivers. */
export interface TrackEncoder {
  readonly codec: string;
  /** Bits a second. */
  readonly targetBitrate: number;
  /** Pictures that were left out. */
  readonly skipped: number;
  /** How loud it is now, 0 to 1; 0 for pictures. */
  readonly level: number;
  /** Encodes this track from now on, rather than an earlier one. */
  start(track: MediaStreamTrack): void;
  /** The next chunk shall be a key chunk. */
  requestKey(): void;
  /** Stops for good; the track itself goes on. */
  stop(): void;
}
