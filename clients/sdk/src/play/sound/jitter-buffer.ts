/** Audio samples of all channels. */
export interface SampleBlock {
  samples: Float32Array[];
  /** Time of the first sample, in seconds on the track's clock. */
  at: number;
}

/**
 * Ring buffer of audio samples, by their time on the track's clock. Blocks after a gap wait in a queue until
 * the samples before it are played.
 *
 * The class is loaded into the audio thread as text, so it must not refer to anything outside of itself, nor to
 * its own name.
 */
export class JitterBuffer {
  readonly #capacity = 1 << 17;
  /** Difference up to which a timestamp counts as the expected one, in seconds. */
  readonly #contiguous = 0.008;
  /** Samples of both channels. The index of a position is `position & mask`. */
  readonly ring = [new Float32Array(this.#capacity), new Float32Array(this.#capacity)];
  readonly mask = this.#capacity - 1;
  readonly #sampleRate: number;
  /** Positions of the next sample to play and of the next free place. Both only grow. */
  #head = this.#capacity;
  #tail = this.#capacity;
  /** Time of the sample at the head. */
  #headAt = 0;
  #later: SampleBlock[] = [];

  constructor(sampleRate: number) {
    this.#sampleRate = sampleRate;
  }

  /** Position of the next sample to play. */
  get head(): number {
    return this.#head;
  }

  /** Time of the next sample to play, in seconds on the track's clock. */
  get headAt(): number {
    return this.#headAt;
  }

  /** Number of samples, without those after a gap. */
  get length(): number {
    return this.#tail - this.#head;
  }

  /** Time after the last sample, in seconds on the track's clock. */
  get #end(): number {
    return this.#headAt + this.length / this.#sampleRate;
  }

  /** Adds a block. Returns whether playback, if `playing`, may continue without a break. */
  push(block: SampleBlock, playing: boolean): boolean {
    const contiguous = Math.abs(block.at - this.#end) <= this.#contiguous;
    if (this.#later.length > 0 || (this.length > 0 && !contiguous)) {
      // A block before the end of the buffer is too late.
      if (block.at > this.#end) this.#later.push(block);
      return true;
    }
    // After a short interruption, playback must continue at the right time, not where it stopped.
    const continues = playing && (this.length > 0 || contiguous);
    if (this.length === 0 && !continues) this.#headAt = block.at;
    this.#append(block);
    return continues || !playing;
  }

  /** Moves on to the next block after a gap. Returns whether there was one. */
  skipGap(): boolean {
    const block = this.#later.shift();
    if (!block) return false;
    this.#headAt = block.at;
    this.#append(block);
    for (let next = this.#later[0]; next; next = this.#later[0]) {
      if (Math.abs(next.at - this.#end) > this.#contiguous) break;
      this.#later.shift();
      this.#append(next);
    }
    return true;
  }

  /** Moves the head by `count` samples, backwards if negative. */
  skip(count: number): void {
    this.#head += count;
    this.#headAt += count / this.#sampleRate;
  }

  #append({ samples }: SampleBlock): void {
    const [left, right] = [samples[0] as Float32Array, (samples[1] ?? samples[0]) as Float32Array];
    for (let each = 0; each < left.length; each++) {
      const index = (this.#tail + each) & this.mask;
      (this.ring[0] as Float32Array)[index] = left[each] as number;
      (this.ring[1] as Float32Array)[index] = right[each] as number;
    }
    this.#tail += left.length;
    const excess = this.length - this.#capacity / 2;
    if (excess > 0) this.skip(excess);
  }
}
