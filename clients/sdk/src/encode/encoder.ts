import type { VideoSize } from "../capture/presets.js";
import type { VideoCodec } from "../codecs/families.js";
import type { WeirError } from "../errors.js";

/** Parameters for the encoder of a track. */
export interface Encoding {
  /** Maximum bitrate, in bits per second. */
  bitrate: number;
  /** Maximum size of video; `undefined` for audio. */
  size?: VideoSize;
  /** Codec to use; by default the best one that all members decode. */
  codec?: VideoCodec;
}

/** Chunk from an encoder. */
export interface Encoded {
  /** Time of capture, in milliseconds of `performance.now()`. */
  atMs: number;
  key: boolean;
  durationUs?: number;
  payload: Uint8Array;
  /** Size of a video frame. */
  width?: number;
  height?: number;
}

/** Track services that an encoder needs. */
export interface EncoderHost {
  /** Whether chunks can be sent now. Otherwise nothing is encoded. */
  open(): boolean;
  /** Bytes that wait for the network. */
  backlog(): number;
  send(chunk: Encoded): void;
  /** Reports that the encoder has failed permanently. */
  failed(error: WeirError): void;
}

/** Encoder of a MediaStreamTrack. */
export interface TrackEncoder {
  readonly codec: string;
  /** Current target bitrate, in bits per second. */
  readonly targetBitrate: number;
  /** Number of frames that were not encoded. */
  readonly skipped: number;
  /** Audio level, 0 to 1; 0 for video. */
  readonly level: number;
  /** Encodes `track` from now on, in place of an earlier one. */
  start(track: MediaStreamTrack): void;
  /** Makes the next chunk a key chunk. */
  requestKey(): void;
  /** Stops encoding permanently. The MediaStreamTrack continues. */
  stop(): void;
}
