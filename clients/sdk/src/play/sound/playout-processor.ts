import type { JitterBuffer, SampleBlock } from "./jitter-buffer.js";
import type { Playout } from "./playout.js";
import type { TimeStretcher } from "./time-stretcher.js";

/** Message to the audio thread. */
export type PlayoutCommand =
  /** Samples to play. */
  | SampleBlock
  /** Delay in seconds: a sample of time `t` is due when the context's time is `t + delay`. */
  | { delay: number };

/** Message from the audio thread, 20 times a second. */
export interface PlayoutReport {
  /** Context time minus track time of what is playing, in seconds; `undefined` while it is silent. */
  delay: number | undefined;
  /** Buffered audio, in seconds. */
  buffered: number;
  /** Number of times the buffer ran empty. */
  starved: number;
}

/**
 * Registers the playout processor in the audio thread.
 *
 * The function is loaded there as text, and so are its arguments. It must not use anything else.
 */
export function playoutProcessor(
  Player: typeof Playout,
  Buffer: typeof JitterBuffer,
  Stretcher: typeof TimeStretcher,
): void {
  const REPORT_EVERY = Math.round(sampleRate * 0.05);

  class PlayoutProcessor extends AudioWorkletProcessor {
    readonly #buffer = new Buffer(sampleRate);
    readonly #playout = new Player(this.#buffer, new Stretcher(this.#buffer, sampleRate), sampleRate);
    #delay: number | undefined;
    #sinceReport = 0;

    constructor() {
      super();
      this.port.onmessage = ({ data }: MessageEvent<PlayoutCommand>) => {
        if ("delay" in data) this.#delay = data.delay;
        else this.#playout.push(data);
      };
    }

    process(_: Float32Array[][], outputs: Float32Array[][]): boolean {
      const output = outputs[0] as Float32Array[];
      const length = (output[0] as Float32Array).length;
      if (this.#delay !== undefined) this.#playout.render(output, currentTime - this.#delay, currentTime);
      this.#sinceReport += length;
      if (this.#sinceReport >= REPORT_EVERY) {
        this.#sinceReport = 0;
        this.#report(currentTime + length / sampleRate);
      }
      return true;
    }

    #report(until: number): void {
      const { headAt, starved } = this.#playout;
      this.port.postMessage({
        delay: headAt === undefined ? undefined : until - headAt,
        buffered: this.#buffer.length / sampleRate,
        starved,
      } satisfies PlayoutReport);
    }
  }
  registerProcessor("weir-playout", PlayoutProcessor);
}
