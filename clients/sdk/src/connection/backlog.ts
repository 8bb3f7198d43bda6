/** Interval between two acknowledged chunks. */
const SAMPLE_MS = 250;
/** Delay beyond the quickest acknowledgement that counts as congestion. */
const CONGESTED_MS = 250;

/** Estimate of the payload in flight, from acknowledgements of sampled chunks. */
export class Backlog {
  #sentBytes = 0;
  #confirmedBytes = 0;
  /** Time at which the unacknowledged sample was sent. */
  #sampleAt: number | undefined;
  #confirmedAt = 0;
  #quickestMs = Number.POSITIVE_INFINITY;

  /**
   * Counts a chunk that is sent at `now`. Returns the callback for its acknowledgement if this chunk is
   * sampled.
   */
  add(bytes: number, now: number): ((confirmedAt: number) => void) | undefined {
    this.#sentBytes += bytes;
    if (this.#sampleAt !== undefined || now - this.#confirmedAt < SAMPLE_MS) return undefined;
    const sent = this.#sentBytes;
    this.#sampleAt = now;
    return (confirmedAt) => {
      this.#confirmedAt = confirmedAt;
      this.#sampleAt = undefined;
      this.#quickestMs = Math.min(this.#quickestMs, confirmedAt - now);
      this.#confirmedBytes = sent;
    };
  }

  /** Returns the bytes in flight while an acknowledgement is late; 0 otherwise. */
  inFlight(now: number): number {
    if (this.#sampleAt === undefined) return 0;
    const late = now - this.#sampleAt > this.#quickestMs + CONGESTED_MS;
    return late ? this.#sentBytes - this.#confirmedBytes : 0;
  }
}
