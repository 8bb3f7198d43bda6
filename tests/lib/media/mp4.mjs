/** Box type that starts a fragment (ISO 14496-12). */
const FRAGMENT = "moof";

/**
 * Splits a live fragmented MP4 into `{ init }`, which is everything before the first fragment, and `{ bytes,
 * timestamp, key }` per fragment. Each is emitted once the next one begins. Fragments begin at key frames if
 * ffmpeg is configured so; `timestamp` is their index times `everyMs`, in milliseconds.
 */
export class Mp4Splitter {
  #bytes = Buffer.alloc(0);
  /** Offset in `#bytes` of the next box. */
  #at = 0;
  #everyMs;
  #pieces = 0;

  constructor(everyMs) {
    this.#everyMs = everyMs;
  }

  push(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const pieces = [];
    while (this.#at + 8 <= this.#bytes.length) {
      const size = this.#bytes.readUInt32BE(this.#at);
      if (size < 8) throw new Error(`a box of ${size} bytes at ${this.#at}`);
      if (this.#bytes.toString("latin1", this.#at + 4, this.#at + 8) === FRAGMENT && this.#at > 0) {
        pieces.push(this.#cut());
      }
      if (this.#at + size > this.#bytes.length) break;
      this.#at += size;
    }
    return pieces;
  }

  /** Emits the bytes before `#at`. */
  #cut() {
    const bytes = this.#bytes.subarray(0, this.#at);
    this.#bytes = this.#bytes.subarray(this.#at);
    this.#at = 0;
    const count = this.#pieces++;
    return count === 0 ? { init: bytes } : { bytes, timestamp: (count - 1) * this.#everyMs, key: true };
  }
}
