/** What the main thread tells the processor. */
export type PlayoutCommand =
  /** Samples of all channels, the first of which is of `at`, in seconds of the track's clock. */
  | { samples: Float32Array[]; at: number }
  /** A sample of time `t` is to leave when the context's time is `t + delay`, in seconds. */
  | { delay: number };

/** What the processor tells the main thread, some times a second. */
export interface PlayoutReport {
  /** The context's time minus the track's, in seconds, of what leaves now; `undefined` while it is silent. */
  delay: number | undefined;
  /** Seconds that wait. */
  buffered: number;
  /** How many times there was nothing to play. */
  starved: number;
}

/**
 * Runs in the audio thread: a jitter buffer that plays each sample when it is due. When it is early or late
 * it repeats or cuts a few milliseconds where the sound is most like itself, so that the pitch stays.
 *
 * Only the text of this function goes there, so it uses nothing from outside.
 */
export function playoutProcessor(): void {
  const CAPACITY = 1 << 17;
  const MASK = CAPACITY - 1;
  /** How far from its time sound may be before something is done about it, in seconds. */
  const TOLERANCE = 0.01;
  /** So far off it jumps. */
  const JUMP = 0.3;
  /** Timestamps that differ by less from what was expected are the same sound going on. */
  const CONTIGUOUS = 0.008;
  const SHORTEST = Math.round(sampleRate * 0.004);
  const LONGEST = Math.round(sampleRate * 0.014);
  const OVERLAP = Math.round(sampleRate * 0.005);
  const FADE = 64;
  const REPORT_EVERY = Math.round(sampleRate * 0.05);

  class Playout extends AudioWorkletProcessor {
    readonly #ring = [new Float32Array(CAPACITY), new Float32Array(CAPACITY)];
    /** Positions, ever growing: the next sample to play, and the next free place. */
    #head = CAPACITY;
    #tail = CAPACITY;
    /** The track's time of the sample at the head, in seconds. */
    #headAt = 0;
    #later: { samples: Float32Array[]; at: number }[] = [];
    #delay: number | undefined;
    #playing = false;
    #fade = 0;
    #nextFix = 0;
    #sinceReport = 0;
    #starved = 0;

    constructor() {
      super();
      this.port.onmessage = ({ data }) => {
        if ("delay" in data) this.#delay = data.delay;
        else this.#take(data);
      };
    }

    #take(block: { samples: Float32Array[]; at: number }): void {
      const end = this.#headAt + (this.#tail - this.#head) / sampleRate;
      const empty = this.#tail === this.#head;
      if (this.#later.length > 0 || (!empty && Math.abs(block.at - end) > CONTIGUOUS)) {
        // What is older than what waits already has missed its turn.
        if (block.at > end) this.#later.push(block);
        return;
      }
      this.#append(block, empty);
    }

    #append({ samples, at }: { samples: Float32Array[]; at: number }, empty: boolean): void {
      if (empty) {
        // After a short pause in the supply the sound goes on where it is in time, not where it stopped.
        if (this.#playing && Math.abs(at - this.#headAt) > CONTIGUOUS) this.#playing = false;
        if (!this.#playing) this.#headAt = at;
      }
      const [left, right] = [samples[0] as Float32Array, (samples[1] ?? samples[0]) as Float32Array];
      for (let each = 0; each < left.length; each++) {
        const place = (this.#tail + each) & MASK;
        (this.#ring[0] as Float32Array)[place] = left[each] as number;
        (this.#ring[1] as Float32Array)[place] = right[each] as number;
      }
      this.#tail += left.length;
      if (this.#tail - this.#head > CAPACITY / 2) this.#skip(this.#tail - this.#head - CAPACITY / 2);
    }

    #skip(count: number): void {
      this.#head += count;
      this.#headAt += count / sampleRate;
    }

    process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
      const output = outputs[0] as Float32Array[];
      const length = (output[0] as Float32Array).length;
      if (this.#delay !== undefined) this.#play(output, length, currentTime - this.#delay);
      this.#sinceReport += length;
      if (this.#sinceReport >= REPORT_EVERY) {
        this.#sinceReport = 0;
        this.port.postMessage({
          delay: this.#playing ? currentTime + length / sampleRate - this.#headAt : undefined,
          buffered: (this.#tail - this.#head) / sampleRate,
          starved: this.#starved,
        });
      }
      return true;
    }

    /** `wanted` is the track's time that is due at the beginning of this output. */
    #play(output: Float32Array[], length: number, wanted: number): void {
      if (this.#tail === this.#head) this.#nextBlock();
      if (this.#playing) this.#keepTime(wanted);
      if (!this.#playing && !this.#start(wanted, length)) return;
      const available = Math.min(length, this.#tail - this.#head);
      for (let channel = 0; channel < output.length; channel++) {
        const target = output[channel] as Float32Array;
        const ring = this.#ring[Math.min(channel, 1)] as Float32Array;
        for (let each = 0; each < available; each++) {
          const gain = Math.min(1, (this.#fade + each) / FADE);
          target[each] = (ring[(this.#head + each) & MASK] as number) * gain;
        }
        // What ends here ends softly.
        if (available < length) {
          for (let each = 0; each < Math.min(FADE, available); each++) {
            const place = available - 1 - each;
            target[place] = (target[place] as number) * (each / FADE);
          }
        }
      }
      this.#fade += available;
      this.#skip(available);
      if (available < length) {
        this.#playing = false;
        this.#starved += 1;
        this.#nextBlock();
      }
    }

    #nextBlock(): void {
      const block = this.#later.shift();
      if (!block) return;
      this.#playing = false;
      this.#append(block, true);
      for (let next = this.#later[0]; next; next = this.#later[0]) {
        const end = this.#headAt + (this.#tail - this.#head) / sampleRate;
        if (Math.abs(next.at - end) > CONTIGUOUS) return;
        this.#later.shift();
        this.#append(next, false);
      }
    }

    /** Begins when the first sample is due; leaves out what should have been heard already. */
    #start(wanted: number, length: number): boolean {
      if (this.#tail === this.#head) return false;
      const late = Math.round((wanted - this.#headAt) * sampleRate);
      if (late < -length) return false;
      if (late > 0) this.#skip(Math.min(late, this.#tail - this.#head));
      this.#playing = this.#tail > this.#head;
      this.#fade = 0;
      return this.#playing;
    }

    #keepTime(wanted: number): void {
      const late = wanted - this.#headAt;
      if (Math.abs(late) > JUMP) {
        this.#playing = false;
        return;
      }
      if (Math.abs(late) < TOLERANCE || currentTime < this.#nextFix) return;
      if (this.#tail - this.#head < LONGEST + 2 * OVERLAP) return;
      // The farther off, the more often; each fix is some milliseconds.
      this.#nextFix = currentTime + (Math.abs(late) > 0.05 ? 0.03 : 0.15);
      const length = this.#period();
      if (late > 0) this.#cutOut(length);
      else this.#repeat(length);
    }

    /** The length after which the sound is most like itself, in samples. */
    #period(): number {
      const ring = this.#ring[0] as Float32Array;
      let best = SHORTEST;
      let highest = Number.NEGATIVE_INFINITY;
      for (let lag = SHORTEST; lag <= LONGEST; lag++) {
        let product = 0;
        let energy = 1e-9;
        for (let each = 0; each < OVERLAP; each += 2) {
          const one = ring[(this.#head + each) & MASK] as number;
          const other = ring[(this.#head + lag + each) & MASK] as number;
          product += one * other;
          energy += other * other;
        }
        const likeness = product / Math.sqrt(energy);
        if (likeness > highest) {
          highest = likeness;
          best = lag;
        }
      }
      return best;
    }

    #cutOut(length: number): void {
      for (const ring of this.#ring) {
        for (let each = 0; each < OVERLAP; each++) {
          const share = each / OVERLAP;
          const from = ring[(this.#head + each) & MASK] as number;
          const place = (this.#head + length + each) & MASK;
          ring[place] = from * (1 - share) + (ring[place] as number) * share;
        }
      }
      this.#skip(length);
    }

    #repeat(length: number): void {
      for (const ring of this.#ring) {
        const before = new Float32Array(length + OVERLAP);
        for (let each = 0; each < before.length; each++) {
          before[each] = ring[(this.#head + each) & MASK] as number;
        }
        for (let each = 0; each < length; each++)
          ring[(this.#head - length + each) & MASK] = before[each] as number;
        for (let each = 0; each < OVERLAP; each++) {
          const share = each / OVERLAP;
          const place = (this.#head + each) & MASK;
          ring[place] = (before[length + each] as number) * (1 - share) + (before[each] as number) * share;
        }
      }
      this.#skip(-length);
    }
  }
  registerProcessor("weir-playout", Playout);
}
