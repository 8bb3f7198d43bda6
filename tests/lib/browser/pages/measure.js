/** Measurements of test pages: when which pictures are seen and which sound is heard. */

import { readNumber, readRow, ROW, SIZE } from "/frame-number.js";

/** Returns the wall clock in milliseconds with fractions, the same in all pages of one machine. */
export function now() {
  return performance.timeOrigin + performance.now();
}

/** Records in `seen` the number of each picture that appears on `canvas`, and when: `[number, ms]`. */
export function watchCanvas(canvas, seen = []) {
  const context = canvas.getContext("2d");
  let last;
  const look = () => {
    const number = readNumber(context);
    if (number !== undefined && number !== last) {
      seen.push([number, now()]);
      last = number;
    }
    if (canvas.isConnected) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  return seen;
}

/** Calls `changed` whenever a row of `canvas` changes. */
export function countPictures(canvas, changed) {
  const context = canvas.getContext("2d");
  let last = 0;
  const look = () => {
    const row = context.getImageData(0, Math.floor(canvas.height * 0.6), canvas.width, 1).data;
    const sum = row.reduce((total, byte, index) => (total * 31 + byte * index) % 1_000_003, 7);
    if (sum !== last) {
      last = sum;
      changed();
    }
    if (canvas.isConnected) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

/** Records in `seen` the number of each picture that a camera delivers, and when. */
export function watchCamera(track) {
  const seen = [];
  // Luma of two rows, which have the number, then chroma, as in I420.
  const rows = new Uint8Array(SIZE.width * 3);
  const rect = { x: 0, y: ROW, width: SIZE.width, height: 2 };
  read(track, async (frame) => {
    const at = now();
    await frame.copyTo(rows, { rect });
    const number = readRow((x) => rows[x], SIZE.width);
    if (number !== undefined) seen.push([number, at]);
  });
  return seen;
}

/** Yields the frames of a copy of `track`. */
async function read(track, take) {
  const reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    await take(value);
    value.close();
  }
}

/** Delay before a tone's frequency is measured, and the number of measured periods. */
const SETTLED_MS = 100;
const PERIODS = 600;

/** Detector of the test tone: its beginning after each silence, and its frequency. */
class Tone {
  /** Beginnings, in milliseconds of the wall clock. */
  onsets = [];
  /** Frequency of each second's tone, in Hz. */
  frequencies = [];
  #rate;
  #quiet = 0;
  #loud = false;
  #before = 0;
  /** Samples since the tone began, and those at which it rose through zero. */
  #index = 0;
  #rises = [];

  constructor(rate) {
    this.#rate = rate;
  }

  /** Adds a sample that was or will be heard at `at`. */
  take(sample, at) {
    this.#quiet = Math.abs(sample) < 0.01 ? this.#quiet + 1 : 0;
    if (this.#loud && this.#quiet > this.#rate / 50) {
      this.#loud = false;
    } else if (!this.#loud && Math.abs(sample) > 0.03) {
      this.#loud = true;
      this.#index = 0;
      this.#rises = [];
      this.onsets.push(at);
    }
    if (this.#loud) this.#measure(sample);
    this.#before = sample;
  }

  #measure(sample) {
    this.#index += 1;
    const settled = this.#index > (this.#rate * SETTLED_MS) / 1_000;
    if (!settled || this.#before >= 0 || sample < 0 || this.#rises.length > PERIODS) return;
    this.#rises.push(this.#index - sample / (sample - this.#before));
    if (this.#rises.length <= PERIODS) return;
    this.frequencies.push((PERIODS * this.#rate) / (this.#rises.at(-1) - this.#rises[0]));
  }
}

/** Detects the tone in a microphone's sound. */
export function listenToMicrophone(track) {
  const tone = new Tone(track.getSettings().sampleRate);
  read(track, (data) => {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    // Delivered when its last sample was captured.
    const begin = now() - data.duration / 1_000;
    samples.forEach((sample, index) => tone.take(sample, begin + (index * 1_000) / data.sampleRate));
  });
  return tone;
}

const RECORDER = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  samples = new Float32Array(1024);
  filled = 0;
  process([input]) {
    if (!input[0]) return true;
    if (this.filled === 0) this.at = currentTime;
    this.samples.set(input[0], this.filled);
    this.filled += input[0].length;
    if (this.filled === this.samples.length) {
      this.port.postMessage({ at: this.at, samples: this.samples });
      this.filled = 0;
    }
    return true;
  }
})`;

/** Detects the tone in the sound that `node` sends to the speakers, at the times when it is heard. */
export async function listenToNode(node) {
  const { context } = node;
  const url = URL.createObjectURL(new Blob([RECORDER], { type: "text/javascript" }));
  await context.audioWorklet.addModule(url);
  const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
  const tone = new Tone(context.sampleRate);
  recorder.port.onmessage = ({ data: { at, samples } }) => {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    const begin = performance.timeOrigin + performanceTime + (at - contextTime) * 1_000;
    samples.forEach((sample, index) => tone.take(sample, begin + (index * 1_000) / context.sampleRate));
  };
  node.connect(recorder);
  return tone;
}
