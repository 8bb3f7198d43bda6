/** Length of the window in which the least delay is searched; two windows are kept. */
const WINDOW_MS = 5_000;

/**
 * Clock of a capture source, mapped to `performance.now()`. Frames arrive with varying delay; the least delay
 * of the last seconds counts as none.
 */
export class CaptureClock {
  #windowEnds = 0;
  #previous = Number.POSITIVE_INFINITY;
  #current = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;

  /** Records that a frame with the source's timestamp `sourceUs` arrived at `nowMs`. */
  observe(sourceUs: number, nowMs: number): void {
    if (nowMs >= this.#windowEnds) {
      this.#windowEnds = nowMs + WINDOW_MS;
      this.#previous = this.#current;
      this.#current = Number.POSITIVE_INFINITY;
    }
    this.#current = Math.min(this.#current, nowMs - sourceUs / 1_000);
  }

  /** Returns the time of capture, in milliseconds of `performance.now()`. Results never decrease. */
  at(sourceUs: number): number {
    this.#last = Math.max(this.#last, sourceUs / 1_000 + Math.min(this.#previous, this.#current));
    return this.#last;
  }
}
