/** How fast loudness falls after a sound, by each 10 ms of samples. */
const RELEASE = 0.9;

/** How loud samples are: the root of their mean square, which falls slowly. 0 to 1. */
export class Level {
  #value = 0;
  #at = 0;
  #scratch = new Float32Array(0);

  /** Without samples for half a second it is silent. */
  get value(): number {
    return performance.now() - this.#at > 500 ? 0 : this.#value;
  }

  add(data: AudioData): void {
    if (this.#scratch.length < data.numberOfFrames) this.#scratch = new Float32Array(data.numberOfFrames);
    const samples = this.#scratch.subarray(0, data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    this.addSamples(samples);
  }

  addSamples(samples: Float32Array): void {
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    const loudness = Math.min(1, Math.sqrt(sum / Math.max(1, samples.length)));
    this.#value = Math.max(loudness, this.#value * RELEASE);
    this.#at = performance.now();
  }
}
