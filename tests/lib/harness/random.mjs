/** Seeded random numbers (mulberry32). */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** Returns a number from 0 to 1, exclusive. */
  fraction() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Returns an integer from 0 to `limit`, exclusive. */
  below(limit) {
    return Math.floor(this.fraction() * limit);
  }

  /** Returns one of `choices`. */
  pick(choices) {
    return choices[this.below(choices.length)];
  }
}

/** Returns the seed of this run and prints it. `WEIR_TEST_SEED` repeats a run. */
export function seedOf(t) {
  const seed = Number(process.env.WEIR_TEST_SEED ?? Date.now() % 2 ** 32);
  t.diagnostic(`WEIR_TEST_SEED=${seed}`);
  return seed;
}
