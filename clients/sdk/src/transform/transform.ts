import type { TrackKind } from "../protocol.js";

/** Properties of a chunk that a transform may use. */
export interface ChunkInfo {
  /** Id of the track, which changes after a reconnect. */
  readonly track: number;
  readonly kind: TrackKind;
  readonly codec: string;
  /** Microseconds on the track's clock. */
  readonly ts: number;
  readonly key: boolean;
}

/**
 * Transform of every chunk's payload, such as {@link aesGcm}. Chunks keep their order, however long a call
 * takes.
 *
 * ```ts
 * const invert: ChunkTransform = {
 *   encode: (payload) => payload.map((byte) => byte ^ 0xff),
 *   decode: (payload) => payload.map((byte) => byte ^ 0xff),
 * };
 * const room = await connect(url, { transform: invert });
 * ```
 */
export interface ChunkTransform {
  /** Transforms a payload before it is sent. */
  encode(payload: Uint8Array, chunk: ChunkInfo): Uint8Array | Promise<Uint8Array>;
  /** Reverses {@link encode}. A chunk for which this throws counts as undecodable. */
  decode(payload: Uint8Array, chunk: ChunkInfo): Uint8Array | Promise<Uint8Array>;
}
