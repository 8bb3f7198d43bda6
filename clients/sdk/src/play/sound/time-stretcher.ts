import type { JitterBuffer } from "./jitter-buffer.js";

/**
 * Shortens or lengthens buffered audio by one period of its waveform, so that the pitch stays (overlap-add).
 *
 * The class is loaded into the audio thread as text, so it must not refer to anything outside of itself, nor to
 * its own name.
 */
export class TimeStretcher {
  readonly #buffer: JitterBuffer;
  /** Range of periods, and length of the cross-fade, in samples. */
  readonly #shortest: number;
  readonly #longest: number;
  readonly #overlap: number;

  constructor(buffer: JitterBuffer, sampleRate: number) {
    this.#buffer = buffer;
    this.#shortest = Math.round(sampleRate * 0.004);
    this.#longest = Math.round(sampleRate * 0.014);
    this.#overlap = Math.round(sampleRate * 0.005);
  }

  /** Whether the buffer holds enough samples. */
  get ready(): boolean {
    return this.#buffer.length >= this.#longest + 2 * this.#overlap;
  }

  /** Removes one period at the head. */
  shorten(): void {
    const { head, mask } = this.#buffer;
    const length = this.#period();
    for (const ring of this.#buffer.ring) {
      for (let each = 0; each < this.#overlap; each++) {
        const share = each / this.#overlap;
        const from = ring[(head + each) & mask] as number;
        const index = (head + length + each) & mask;
        ring[index] = from * (1 - share) + (ring[index] as number) * share;
      }
    }
    this.#buffer.skip(length);
  }

  /** Repeats one period at the head. */
  lengthen(): void {
    const { head, mask } = this.#buffer;
    const length = this.#period();
    for (const ring of this.#buffer.ring) {
      const before = new Float32Array(length + this.#overlap);
      for (let each = 0; each < before.length; each++) before[each] = ring[(head + each) & mask] as number;
      for (let each = 0; each < length; each++) ring[(head - length + each) & mask] = before[each] as number;
      for (let each = 0; each < this.#overlap; each++) {
        const share = each / this.#overlap;
        const index = (head + each) & mask;
        ring[index] = (before[length + each] as number) * (1 - share) + (before[each] as number) * share;
      }
    }
    this.#buffer.skip(-length);
  }

  /** Returns the lag with the highest autocorrelation, in samples. */
  #period(): number {
    const { head, mask } = this.#buffer;
    const ring = this.#buffer.ring[0] as Float32Array;
    let best = this.#shortest;
    let highest = Number.NEGATIVE_INFINITY;
    for (let lag = this.#shortest; lag <= this.#longest; lag++) {
      let product = 0;
      let energy = 1e-9;
      for (let each = 0; each < this.#overlap; each += 2) {
        const one = ring[(head + each) & mask] as number;
        const other = ring[(head + lag + each) & mask] as number;
        product += one * other;
        energy += other * other;
      }
      const correlation = product / Math.sqrt(energy);
      if (correlation > highest) {
        highest = correlation;
        best = lag;
      }
    }
    return best;
  }
}
