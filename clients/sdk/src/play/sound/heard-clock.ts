/** Weight of one reading in the moving average. Readings are noisy. */
const WEIGHT = 0.05;
/** Difference from which a reading is a step of the clock instead of noise. */
const STEP_MS = 60;

/** Clock that maps an AudioContext's time to when it is heard, in milliseconds of `performance.now()`. */
export class HeardClock {
  readonly #context: AudioContext;
  /** Milliseconds of `performance.now()` when the context's time 0 was heard. */
  #offsetMs: number | undefined;

  constructor(context: AudioContext) {
    this.#context = context;
  }

  /** Reads both clocks. Returns the current output latency, in milliseconds. */
  observe(nowMs: number): number {
    const { contextTime = 0, performanceTime = 0 } = this.#context.getOutputTimestamp?.() ?? {};
    const known = contextTime > 0 && performanceTime > 0;
    const latency = (this.#context.outputLatency || this.#context.baseLatency || 0) * 1_000;
    const offset = known
      ? performanceTime - contextTime * 1_000
      : nowMs - this.#context.currentTime * 1_000 + latency;
    const before = this.#offsetMs;
    const near = before !== undefined && Math.abs(offset - before) < STEP_MS;
    this.#offsetMs = near ? before + (offset - before) * WEIGHT : offset;
    return Math.min(200, Math.max(0, this.#context.currentTime * 1_000 + this.#offsetMs - nowMs));
  }

  /** Converts `delay` (context time minus track time, in seconds) to the delay of a {@link Lane}. */
  heard(delay: number): number {
    return delay * 1_000 + (this.#offsetMs ?? 0);
  }

  /** Reverses {@link heard}. */
  due(delayMs: number): number {
    return (delayMs - (this.#offsetMs ?? 0)) / 1_000;
  }
}
