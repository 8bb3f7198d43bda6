/** Over how many chunks the delay is looked at: some seconds. */
const WINDOW = 200;
const EVERY = 10;
/** The first chunks, which come while the page is still busy with beginning, tell nothing about later ones. */
const WARM_UP = 25;
/** As many of all chunks are to be there in time: a picture that is late is less of a loss than a hole in the sound. */
const IN_TIME = { audio: 0.985, video: 0.95 };
/** Tracks of one member whose clocks differ by more are not in step by intention. */
const SAME_CLOCK_MS = 2_000;
/** Sound waits no longer than this for its picture. */
const LONGEST_WAIT_MS = 200;

/**
 * When the chunks of one member are due. Each of its tracks is a lane, which knows how late chunks are
 * ready; sound and picture of one clock are presented with the same delay, the greater of what they need.
 *
 * A delay is the time of presentation (milliseconds of `performance.now()`) minus the chunk's `ts` in
 * milliseconds. Clocks begin anywhere, so only differences of delays mean something.
 */
export class Timeline {
  readonly #lanes = new Set<Lane>();

  lane(kind: "audio" | "video"): Lane {
    const lane = new Lane(kind, this.#lanes);
    this.#lanes.add(lane);
    return lane;
  }
}

/** The delays of one track. */
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

  /** The chunk of `tsUs` could be presented from `nowMs` on. */
  observe(tsUs: number, nowMs: number): void {
    const delay = nowMs - tsUs / 1_000;
    // A clock that jumped: what was before tells nothing.
    if (this.#needed !== undefined && Math.abs(delay - this.#needed) > SAME_CLOCK_MS) this.reset();
    this.#delays[this.#count % WINDOW] = delay;
    this.#count += 1;
    if (!this.#warm && this.#count === WARM_UP) {
      this.#warm = true;
      this.#count = 0;
    } else if (this.#count < 2 * EVERY || this.#count % EVERY === 0) this.#measure();
  }

  /** The track begins anew. */
  reset(): void {
    this.#count = 0;
    this.#warm = false;
    this.#needed = undefined;
    this.#playing = undefined;
  }

  /** Sound is heard with this delay now. */
  played(delayMs: number): void {
    this.#playing = { delayMs, at: performance.now() };
  }

  stop(): void {
    this.#lanes.delete(this);
  }

  /** How much the delays differ: from the least one to the one that nearly all keep. */
  get jitterMs(): number {
    return this.#needed === undefined ? 0 : this.#needed - this.#least;
  }

  /** What this track alone needs; `undefined` before its first chunk. */
  get needed(): number | undefined {
    return this.#needed;
  }

  /** The delay to present with; `undefined` before the first chunk. */
  get delay(): number | undefined {
    const own = this.#needed;
    if (own === undefined) return undefined;
    let delay = own;
    for (const other of this.#lanes) {
      if (other === this || other.#kind === this.#kind) continue;
      const heard = other.#heard;
      const needed = this.#kind === "video" ? heard : other.#needed;
      if (needed === undefined || Math.abs(needed - own) > SAME_CLOCK_MS) continue;
      // Sound leads: pictures are shown when their sound is heard, and sound waits for late pictures.
      if (this.#kind === "video") delay = needed;
      else delay = Math.max(delay, Math.min(needed, own + LONGEST_WAIT_MS));
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
