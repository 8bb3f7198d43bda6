/** How far the estimate of the node's clock may be from the one in use before that one is replaced. */
const STEP_MS = 500;

/**
 * The node's wall clock, estimated here. Tracks are stamped with it, so that those of one member are in
 * step, and so that whoever receives them can tell how old they are.
 */
export class ServerClock {
  #offsetMs: number | undefined;

  /**
   * Takes in that the node said it was `serverMs` (since the Unix epoch) at some time between `askedAt`
   * and `answeredAt` (of `performance.now()`). Small corrections are left out: a clock that never jumps
   * is worth more than one that is exact.
   */
  observe(serverMs: number, askedAt: number, answeredAt: number): void {
    const offset = serverMs - (askedAt + answeredAt) / 2;
    if (this.#offsetMs === undefined || Math.abs(offset - this.#offsetMs) > STEP_MS) this.#offsetMs = offset;
  }

  /** The node's time, in milliseconds since the Unix epoch, when it is `localMs` of `performance.now()`. */
  at(localMs: number): number {
    return localMs + (this.#offsetMs ?? performance.timeOrigin);
  }
}
