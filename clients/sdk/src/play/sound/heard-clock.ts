/** How much one look at the clocks counts: they are read unevenly. */
const SHARE = 0.05;
/** Farther off, it is not unevenness. */
const STEP_MS = 60;

/** Maps an AudioContext's time to the time at which it is heard, in milliseconds of `performance.now()`. */
export class HeardClock {
  readonly #context: AudioContext;
  /** Milliseconds of `performance.now()` when the context's time 0 was heard. */
  #offsetMs: number | undefined;

  constructor(context: AudioContext) {
    this.#context = context;
  }

  /** Reads both clocks; the result is how long it takes now from the audio thread to the ear, in milliseconds. */
  observe(nowMs: number): number {
    const { contextTime = 0, performanceTime = 0 } = this.#context.getOutputTimestamp?.() ?? {};
    const known = contextTime > 0 && performanceTime > 0;
    const latency = (this.#context.outputLatency || this.#context.baseLatency || 0) * 1_000;
    const offset = known
      ? performanceTime - contextTime * 1_000
      : nowMs - this.#context.currentTime * 1_000 + latency;
    const before = this.#offsetMs;
    const near = before !== undefined && Math.abs(offset - before) < STEP_MS;
    this.#offsetMs = near ? before + (offset - before) * SHARE : offset;
    return Math.min(200, Math.max(0, this.#context.currentTime * 1_000 + this.#offsetMs - nowMs));
  }

  /** What leaves with `delay` (the context's time minus the track's, in seconds) is heard with the result, as lanes count. */
  heard(delay: number): number {
    return delay * 1_000 + (this.#offsetMs ?? 0);
  }

  /** The reverse of {@link heard}. */
  due(delayMs: number): number {
    return (delayMs - (this.#offsetMs ?? 0)) / 1_000;
  }
}
