const LEAST = 80_000;
const STEP_MS = 1_000;
/** What may wait for the network, in seconds of the bitrate, before pictures are left out. */
const BACKLOG_S = 0.25;
const LEAST_BACKLOG = 24_000;
/** Below this share of the bitrate that a size is meant for its sides are halved, and above the other doubled again. */
const SHRINK = 0.35;
const GROW = 0.6;
const SMALLEST = 0.25;

/**
 * Finds the bitrate that the network takes, by what waits for it: down by a third whenever pictures had
 * to be left out, and slowly up again.
 */
export class BitrateControl {
  readonly #most: number;
  #target: number;
  #scale = 1;
  #congested = false;
  #nextStep = 0;

  constructor(most: number) {
    this.#most = most;
    this.#target = most;
  }

  get target(): number {
    return this.#target;
  }

  /** The share of a picture's sides that the bitrate is enough for: sharp and small rather than large and late. */
  get scale(): number {
    return this.#scale;
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
    const share = this.#target / (this.#most * this.#scale ** 2);
    if (share < SHRINK && this.#scale > SMALLEST) this.#scale /= 2;
    // Four times the pixels must not be too many again.
    else if (share > 4 * GROW && this.#scale < 1) this.#scale *= 2;
    return this.#target === before ? undefined : this.#target;
  }
}
