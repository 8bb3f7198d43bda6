/** Over how long the least delay is looked for; twice as long at most. */
const WINDOW_MS = 5_000;

/**
 * Maps a source's own timestamps to `performance.now()`. Sources have clocks of their own, and what they
 * deliver comes late by differing times: the least delay of the last seconds is taken as none.
 */
export class CaptureClock {
  #windowEnds = 0;
  #previous = Number.POSITIVE_INFINITY;
  #current = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;

  /** Takes in that what the source stamped with `sourceUs` was there at `nowMs`. */
  observe(sourceUs: number, nowMs: number): void {
    if (nowMs >= this.#windowEnds) {
      this.#windowEnds = nowMs + WINDOW_MS;
      this.#previous = this.#current;
      this.#current = Number.POSITIVE_INFINITY;
    }
    this.#current = Math.min(this.#current, nowMs - sourceUs / 1_000);
  }

  /** When that was, in milliseconds of `performance.now()`; never going back. */
  at(sourceUs: number): number {
    this.#last = Math.max(this.#last, sourceUs / 1_000 + Math.min(this.#previous, this.#current));
    return this.#last;
  }
}
