/** Minimum error of the current estimate that justifies a jump to a new one. */
const STEP_MS = 500;

/**
 * Estimate of the node's wall clock. Published chunks carry its time, so that tracks of one member are in
 * sync and receivers can tell their latency.
 */
export class ServerClock {
  #offsetMs: number | undefined;

  /**
   * Records that the node's clock showed `serverMs` (since the Unix epoch) between `askedAt` and `answeredAt`
   * (of `performance.now()`). Ignores small corrections: a steady clock matters more than an exact one.
   */
  observe(serverMs: number, askedAt: number, answeredAt: number): void {
    const offset = serverMs - (askedAt + answeredAt) / 2;
    if (this.#offsetMs === undefined || Math.abs(offset - this.#offsetMs) > STEP_MS) this.#offsetMs = offset;
  }

  /** Returns the node's time at `localMs` of `performance.now()`, in milliseconds since the Unix epoch. */
  at(localMs: number): number {
    return localMs + (this.#offsetMs ?? performance.timeOrigin);
  }
}
