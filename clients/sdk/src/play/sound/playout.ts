import type { JitterBuffer, SampleBlock } from "./jitter-buffer.js";
import type { TimeStretcher } from "./time-stretcher.js";

/**
 * Plays each sample of a jitter buffer when it is due. Corrects small deviations by stretching time, and large
 * ones by a jump.
 *
 * The class is loaded into the audio thread as text, so it must not refer to anything outside of itself, nor to
 * its own name.
 */
export class Playout {
  /** Deviation that is tolerated, in seconds. */
  readonly #tolerance = 0.01;
  /** Deviation above which corrections are more frequent, in seconds. */
  readonly #far = 0.05;
  /** Deviation above which playback jumps, in seconds. */
  readonly #jump = 0.3;
  /** Length of fades, in samples. */
  readonly #fade = 64;

  readonly #buffer: JitterBuffer;
  readonly #stretcher: TimeStretcher;
  readonly #sampleRate: number;
  #playing = false;
  /** Samples played since playback started, for the fade-in. */
  #played = 0;
  /** Context time of the next possible correction. */
  #nextFix = 0;
  #starved = 0;

  constructor(buffer: JitterBuffer, stretcher: TimeStretcher, sampleRate: number) {
    this.#buffer = buffer;
    this.#stretcher = stretcher;
    this.#sampleRate = sampleRate;
  }

  /** Time of the next sample on the track's clock, in seconds; `undefined` while it is silent. */
  get headAt(): number | undefined {
    return this.#playing ? this.#buffer.headAt : undefined;
  }

  /** Number of times the buffer ran empty. */
  get starved(): number {
    return this.#starved;
  }

  /** Adds samples. */
  push(block: SampleBlock): void {
    if (!this.#buffer.push(block, this.#playing)) this.#playing = false;
  }

  /**
   * Fills `output`, whose first sample is due at `wanted` on the track's clock and leaves at `now` of the
   * context, both in seconds.
   */
  render(output: Float32Array[], wanted: number, now: number): void {
    const length = (output[0] as Float32Array).length;
    if (this.#buffer.length === 0) this.#skipGap();
    if (this.#playing) this.#keepTime(wanted, now);
    if (!this.#playing && !this.#start(wanted, length)) return;
    const available = Math.min(length, this.#buffer.length);
    for (let channel = 0; channel < output.length; channel++) {
      this.#copy(output[channel] as Float32Array, channel, available);
    }
    this.#played += available;
    this.#buffer.skip(available);
    if (available < length) {
      this.#playing = false;
      this.#starved += 1;
      this.#skipGap();
    }
  }

  #copy(target: Float32Array, channel: number, available: number): void {
    const { head, mask } = this.#buffer;
    const ring = this.#buffer.ring[Math.min(channel, 1)] as Float32Array;
    for (let each = 0; each < available; each++) {
      const gain = Math.min(1, (this.#played + each) / this.#fade);
      target[each] = (ring[(head + each) & mask] as number) * gain;
    }
    if (available === target.length) return;
    for (let each = 0; each < Math.min(this.#fade, available); each++) {
      const index = available - 1 - each;
      target[index] = (target[index] as number) * (each / this.#fade);
    }
  }

  #skipGap(): void {
    if (this.#buffer.skipGap()) this.#playing = false;
  }

  /** Starts once the first sample is due, without those that are overdue. */
  #start(wanted: number, length: number): boolean {
    if (this.#buffer.length === 0) return false;
    const late = Math.round((wanted - this.#buffer.headAt) * this.#sampleRate);
    if (late < -length) return false;
    if (late > 0) this.#buffer.skip(Math.min(late, this.#buffer.length));
    this.#playing = this.#buffer.length > 0;
    this.#played = 0;
    return this.#playing;
  }

  /** Corrects a deviation of the buffer's head from the wanted time. */
  #keepTime(wanted: number, now: number): void {
    const late = wanted - this.#buffer.headAt;
    const deviation = Math.abs(late);
    if (deviation > this.#jump) {
      this.#playing = false;
      return;
    }
    if (deviation < this.#tolerance || now < this.#nextFix || !this.#stretcher.ready) return;
    // Each correction is a few milliseconds.
    this.#nextFix = now + (deviation > this.#far ? 0.03 : 0.15);
    if (late > 0) this.#stretcher.shorten();
    else this.#stretcher.lengthen();
  }
}
