import type { WeirError } from "../errors.js";

const INTERVAL_MS = 1_000;

/** Throttle of error events: one a second for each code, since every chunk may cause one. */
export class ErrorThrottle {
  readonly #emittedAt = new Map<string, number>();

  /** Whether `error` may be emitted at `now`; if so, it counts as emitted. */
  admits({ code }: WeirError, now: number): boolean {
    if (now - (this.#emittedAt.get(code) ?? Number.NEGATIVE_INFINITY) < INTERVAL_MS) return false;
    this.#emittedAt.set(code, now);
    return true;
  }
}
