/** Maximum interval of key chunks, for late joiners. */
const MAX_MS = 4_000;
/** Minimum interval of requested key chunks. Requests within it share one. */
const MIN_MS = 250;

/** Schedule of key chunks. */
export class KeySchedule {
  #lastAt = Number.NEGATIVE_INFINITY;
  #wanted = true;

  /** Whether a requested key chunk is still to be produced. */
  get waiting(): boolean {
    return this.#wanted;
  }

  /** Requests a key chunk. */
  request(): void {
    this.#wanted = true;
  }

  /** Whether the frame at `now` must be a key chunk; if so, it counts as produced. */
  due(now: number): boolean {
    const since = now - this.#lastAt;
    if (since < MAX_MS && !(this.#wanted && since >= MIN_MS)) return false;
    this.#lastAt = now;
    this.#wanted = false;
    return true;
  }

  /** Makes the next frame a key chunk, regardless of the interval. */
  restart(): void {
    this.#lastAt = Number.NEGATIVE_INFINITY;
    this.#wanted = true;
  }
}
