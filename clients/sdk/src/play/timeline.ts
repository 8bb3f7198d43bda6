/** Number of chunks whose delays are kept: some seconds. */
const WINDOW = 200;
/** Interval of measurements, in chunks. */
const EVERY = 10;
/** Number of first chunks that are not measured, since they arrive while the page is busy starting. */
const WARM_UP = 25;
/** Share of chunks that must be in time. A late frame disturbs less than a hole in the sound. */
const IN_TIME = { audio: 0.985, video: 0.95 };
/** Maximum difference between delays of tracks on the same clock. */
const SAME_CLOCK_MS = 2_000;
/** Maximum additional delay of audio for lip sync with late video. */
const MAX_SYNC_MS = 200;

/**
 * Presentation times of one member's tracks. Each track is a lane that measures when its chunks are ready.
 * Audio and video on the same clock share one delay, the larger of what they need.
 *
 * A delay is the time of presentation (milliseconds of `performance.now()`) minus the chunk's `ts` in
 * milliseconds. Clocks have arbitrary origins, so only differences of delays are meaningful.
 */
export class Timeline {
  readonly #lanes = new Set<Lane>();

  /** Adds a lane for a track. */
  lane(kind: "audio" | "video"): Lane {
    const lane = new Lane(kind, this.#lanes);
    this.#lanes.add(lane);
    return lane;
  }
}

/** Delays of one track. */
export class Lane {
  readonly #kind: "audio" | "video";
  readonly #lanes: Set<Lane>;
  readonly #delays = new Float64Array(WINDOW);
  #count = 0;
  #warm = false;
  #needed: number | undefined;
  #least = 0;
  #playing: { delayMs: number; at: number } | undefined;

  constructor(kind: "audio" | "video", lanes: Set<Lane>) {
    this.#kind = kind;
    this.#lanes = lanes;
  }

  /** Records that the chunk of `tsUs` was ready for presentation at `nowMs`. */
  observe(tsUs: number, nowMs: number): void {
    const delay = nowMs - tsUs / 1_000;
    // The publisher's clock has jumped, which invalidates earlier delays.
    if (this.#needed !== undefined && Math.abs(delay - this.#needed) > SAME_CLOCK_MS) this.reset();
    this.#delays[this.#count % WINDOW] = delay;
    this.#count += 1;
    if (!this.#warm && this.#count === WARM_UP) {
      this.#warm = true;
      this.#count = 0;
    } else if (this.#count < 2 * EVERY || this.#count % EVERY === 0) this.#measure();
  }

  /** Discards all measurements. */
  reset(): void {
    this.#count = 0;
    this.#warm = false;
    this.#needed = undefined;
    this.#playing = undefined;
  }

  /** Records the delay with which audio is currently heard. */
  played(delayMs: number): void {
    this.#playing = { delayMs, at: performance.now() };
  }

  /** Removes the lane from its timeline. */
  stop(): void {
    this.#lanes.delete(this);
  }

  /** Jitter: difference between the least delay and the one that nearly all chunks meet. */
  get jitterMs(): number {
    return this.#needed === undefined ? 0 : this.#needed - this.#least;
  }

  /** Delay that this track alone needs; `undefined` before its first chunk. */
  get needed(): number | undefined {
    return this.#needed;
  }

  /** Delay to present with; `undefined` before the first chunk. */
  get delay(): number | undefined {
    const own = this.#needed;
    if (own === undefined) return undefined;
    let delay = own;
    for (const other of this.#lanes) {
      if (other === this || other.#kind === this.#kind) continue;
      const heard = other.#heard;
      const needed = this.#kind === "video" ? heard : other.#needed;
      if (needed === undefined || Math.abs(needed - own) > SAME_CLOCK_MS) continue;
      // Video follows the audio that is heard; audio waits for late video.
      if (this.#kind === "video") delay = needed;
      else delay = Math.max(delay, Math.min(needed, own + MAX_SYNC_MS));
    }
    return delay;
  }

  get #heard(): number | undefined {
    if (!this.#playing || performance.now() - this.#playing.at > 500) return undefined;
    return this.#playing.delayMs;
  }

  #measure(): void {
    const sorted = this.#delays.slice(0, Math.min(this.#count, WINDOW)).sort();
    this.#least = sorted[0] ?? 0;
    this.#needed = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * IN_TIME[this.#kind]))];
  }
}
