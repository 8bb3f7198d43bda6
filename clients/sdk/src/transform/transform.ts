import type { TrackKind } from "../protocol.js";

/** What a transform may know of a chunk. */
export interface ChunkInfo {
  /** The track's id. It is another one after a reconnection. */
  readonly track: number;
  readonly kind: TrackKind;
  readonly codec: string;
  /** Microseconds of the track's clock. */
  readonly ts: number;
  readonly key: boolean;
}

/**
 * Changes each chunk's payload on its way: `encode` before it is sent, `decode` after it arrived. What
 * `decode` throws makes the chunk undecodable, and nothing else. Order is kept, whatever takes how long.
 */
export interface ChunkTransform {
  encode(payload: Uint8Array, chunk: ChunkInfo): Uint8Array | Promise<Uint8Array>;
  decode(payload: Uint8Array, chunk: ChunkInfo): Uint8Array | Promise<Uint8Array>;
}

/** Runs steps one after the other, those at once that need no waiting. */
export class InOrder {
  #last: Promise<void> | undefined;

  /** Calls `then` with the result of `step`, after everything before it is done; `failed` with its error. */
  run(
    step: () => Uint8Array | Promise<Uint8Array>,
    then: (payload: Uint8Array) => void,
    failed: (error: unknown) => void,
  ): void {
    let result: Uint8Array | Promise<Uint8Array>;
    try {
      result = step();
    } catch (error) {
      result = Promise.reject(error);
    }
    if (this.#last === undefined && result instanceof Uint8Array) {
      then(result);
      return;
    }
    const settled = Promise.allSettled([result, this.#last]).then(([own]) => {
      if (own.status === "fulfilled") then(own.value);
      else failed(own.reason);
      if (this.#last === settled) this.#last = undefined;
    });
    this.#last = settled;
  }
}
