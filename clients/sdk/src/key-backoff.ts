const FIRST_MS = 500;
const LONGEST_MS = 8_000;
/** Pictures are shown for so long at least before a recovery counts as one. */
const STEADY_MS = 3_000;

/**
 * Exponential backoff of requests for key chunks. The delay doubles with each request, and is reset
 * once pictures are still shown some seconds after one: a key chunk that cannot be decoded, or is
 * followed by chunks that cannot, resets nothing.
 */
export class KeyBackoff {
  /** Requests since the last reset. */
  #count = 0;
  #askedAt = Number.NEGATIVE_INFINITY;

  get #delayMs(): number {
    return Math.min(FIRST_MS * 2 ** Math.max(0, this.#count - 1), LONGEST_MS);
  }

  /** Whether a request may be sent at `now`; if so, it counts as sent. */
  take(now: number): boolean {
    if (now - this.#askedAt < this.#delayMs) return false;
    this.#askedAt = now;
    this.#count += 1;
    return true;
  }

  /** Records that a picture is shown at `now`. */
  shown(now: number): void {
    if (now - this.#askedAt >= Math.max(this.#delayMs, STEADY_MS)) this.#count = 0;
  }

  /** Forgets earlier requests, which went over another connection or for another codec. */
  reset(): void {
    this.#count = 0;
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }
}
