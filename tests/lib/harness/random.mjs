/** Repeatable randomness: the same seed gives the same numbers (mulberry32). */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to 1, which is excluded. */
  fraction() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from 0 up to `limit`, which is excluded. */
  below(limit) {
    return Math.floor(this.fraction() * limit);
  }

  /** One of `choices`. */
  pick(choices) {
    return choices[this.below(choices.length)];
  }
}

/** The seed of this run, told in the output of the test `t`; `WEIR_TEST_SEED` repeats one. */
export function seedOf(t) {
  const seed = Number(process.env.WEIR_TEST_SEED ?? Date.now() % 2 ** 32);
  t.diagnostic(`WEIR_TEST_SEED=${seed}`);
  return seed;
}
