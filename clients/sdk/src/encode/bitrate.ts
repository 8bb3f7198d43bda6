const LEAST = 80_000;
const STEP_MS = 1_000;
/** What may wait for the network, in seconds of the bitrate, before pictures are left out. */
const BACKLOG_S = 0.25;
const LEAST_BACKLOG = 24_000;

/**
 * Finds the bitrate that the network takes, by what waits for it: down by a third whenever pictures had
 * to be left out, and slowly up again.
 */
export class BitrateControl {
  readonly #most: number;
  #target: number;
  #congested = false;
  #nextStep = 0;

  constructor(most: number) {
    this.#most = most;
    this.#target = most;
  }

  get target(): number {
    return this.#target;
  }

  /** Whether so many bytes waiting are too many to add another picture. */
  tooMuch(backlog: number): boolean {
    const limit = Math.max(LEAST_BACKLOG, (this.#target / 8) * BACKLOG_S);
    if (backlog <= limit) return false;
    this.#congested = true;
    return true;
  }

  /** Once a second, the new bitrate, if it is another one. */
  step(now: number): number | undefined {
    if (now < this.#nextStep) return undefined;
    this.#nextStep = now + STEP_MS;
    const next = this.#congested ? this.#target * 0.66 : this.#target * 1.08;
    const before = this.#target;
    this.#target = Math.round(Math.min(this.#most, Math.max(Math.min(LEAST, this.#most), next)));
    this.#congested = false;
    return this.#target === before ? undefined : this.#target;
  }
}
