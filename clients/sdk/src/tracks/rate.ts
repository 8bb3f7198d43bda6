const BUCKET_MS = 250;
const BUCKETS = 8;

/** Moving rate per second, over the last two seconds. */
export class Rate {
  readonly #sums = new Float64Array(BUCKETS);
  #newest = 0;
  #since: number | undefined;

  /** Adds `amount` at `now`. */
  add(amount: number, now = performance.now()): void {
    this.#since ??= now;
    this.#advance(now);
    const at = this.#newest % BUCKETS;
    this.#sums[at] = (this.#sums[at] ?? 0) + amount;
  }

  /** Returns the rate at `now`; 0 until a first interval is over. */
  perSecond(now = performance.now()): number {
    if (this.#since === undefined) return 0;
    this.#advance(now);
    let sum = 0;
    for (const each of this.#sums) sum += each;
    const span = Math.min(now - this.#since, (BUCKETS - 1) * BUCKET_MS + (now % BUCKET_MS));
    return span < BUCKET_MS ? 0 : (sum * 1_000) / span;
  }

  /** Clears the buckets that have become outdated. */
  #advance(now: number): void {
    const bucket = Math.floor(now / BUCKET_MS);
    if (bucket - this.#newest >= BUCKETS) this.#sums.fill(0);
    else for (let each = this.#newest + 1; each <= bucket; each++) this.#sums[each % BUCKETS] = 0;
    this.#newest = Math.max(bucket, this.#newest);
  }
}
