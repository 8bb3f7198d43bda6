/** Decay of the level per block of samples. */
const RELEASE = 0.9;

/** Audio level, 0 to 1: the root mean square of the samples, with a slow release. */
export class Level {
  #value = 0;
  #at = 0;
  #scratch = new Float32Array(0);

  /** Current level; 0 after half a second without samples. */
  get value(): number {
    return performance.now() - this.#at > 500 ? 0 : this.#value;
  }

  /** Measures the first channel of `data`. */
  add(data: AudioData): void {
    if (this.#scratch.length < data.numberOfFrames) this.#scratch = new Float32Array(data.numberOfFrames);
    const samples = this.#scratch.subarray(0, data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    const level = Math.min(1, Math.sqrt(sum / Math.max(1, samples.length)));
    this.#value = Math.max(level, this.#value * RELEASE);
    this.#at = performance.now();
  }
}
