const MIN_BITRATE = 80_000;
const STEP_MS = 1_000;
/** Maximum backlog, in seconds of the bitrate. Above it, frames are skipped. */
const BACKLOG_S = 0.25;
/** Backlog that is always tolerated, in bytes. */
const MIN_BACKLOG = 24_000;
/** Share of a size's intended bitrate below which width and height are halved. */
const SHRINK = 0.35;
/** Share of the larger size's intended bitrate above which they are doubled again. */
const GROW = 0.6;
const MIN_SCALE = 0.25;

/**
 * Congestion control of a video encoder. Lowers the bitrate by a third each second in which the backlog made
 * the encoder skip frames, and raises it slowly otherwise.
 */
export class BitrateControl {
  readonly #max: number;
  #target: number;
  #scale = 1;
  #congested = false;
  #nextStep = 0;

  constructor(max: number) {
    this.#max = max;
    this.#target = max;
  }

  /** Current bitrate, in bits per second. */
  get target(): number {
    return this.#target;
  }

  /** Factor for width and height at which the bitrate still yields a sharp picture. */
  get scale(): number {
    return this.#scale;
  }

  /** Whether `backlog` bytes are too many to encode another frame. */
  exceeds(backlog: number): boolean {
    const limit = Math.max(MIN_BACKLOG, (this.#target / 8) * BACKLOG_S);
    if (backlog <= limit) return false;
    this.#congested = true;
    return true;
  }

  /** Adjusts the bitrate once a second. Returns the new one if it has changed. */
  step(now: number): number | undefined {
    if (now < this.#nextStep) return undefined;
    this.#nextStep = now + STEP_MS;
    const next = this.#congested ? this.#target * 0.66 : this.#target * 1.08;
    const before = this.#target;
    this.#target = Math.round(Math.min(this.#max, Math.max(Math.min(MIN_BITRATE, this.#max), next)));
    this.#congested = false;
    const share = this.#target / (this.#max * this.#scale ** 2);
    if (share < SHRINK && this.#scale > MIN_SCALE) this.#scale /= 2;
    // Four times as many pixels must not exceed the bitrate at once.
    else if (share > 4 * GROW && this.#scale < 1) this.#scale *= 2;
    return this.#target === before ? undefined : this.#target;
  }
}
