const INITIAL_MS = 500;
const MAX_MS = 8_000;
/** Time for which frames must be shown before the stream counts as recovered. */
const STEADY_MS = 3_000;

/**
 * Exponential backoff of key chunk requests. The delay doubles with each request. It is reset once frames are
 * still shown some seconds after a request. A key chunk that fails to decode, or whose successors fail, does
 * not reset it.
 */
export class KeyBackoff {
  /** Number of requests since the last reset. */
  #count = 0;
  #askedAt = Number.NEGATIVE_INFINITY;

  get #delayMs(): number {
    return Math.min(INITIAL_MS * 2 ** Math.max(0, this.#count - 1), MAX_MS);
  }

  /** Whether a request may be sent at `now`; if so, it counts as sent. */
  admits(now: number): boolean {
    if (now - this.#askedAt < this.#delayMs) return false;
    this.#askedAt = now;
    this.#count += 1;
    return true;
  }

  /** Records that a frame was shown at `now`. */
  shown(now: number): void {
    if (now - this.#askedAt >= Math.max(this.#delayMs, STEADY_MS)) this.#count = 0;
  }

  /** Forgets earlier requests, which used another connection or another codec. */
  reset(): void {
    this.#count = 0;
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }
}
