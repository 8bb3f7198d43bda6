/** Boxes with which a fragment begins (ISO 14496-12). */
const FRAGMENT = "moof";

/**
 * Cuts a live fragmented MP4, as it comes, into `{ init }`, which is everything before the first fragment,
 * and `{ bytes, timestamp, key }` a fragment, each as soon as the next one begins. Fragments begin at key
 * frames where ffmpeg is told so; `timestamp` counts them, in milliseconds of `everyMs`.
 */
export class Mp4Splitter {
  #bytes = Buffer.alloc(0);
  /** Where in `#bytes` the next box starts. */
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

  /** Hands out what stands before `#at`. */
  #cut() {
    const bytes = this.#bytes.subarray(0, this.#at);
    this.#bytes = this.#bytes.subarray(this.#at);
    this.#at = 0;
    const count = this.#pieces++;
    return count === 0 ? { init: bytes } : { bytes, timestamp: (count - 1) * this.#everyMs, key: true };
  }
}
