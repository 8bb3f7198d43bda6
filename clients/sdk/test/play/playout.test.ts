import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { JitterBuffer } from "../../src/play/sound/jitter-buffer";
import { Playout } from "../../src/play/sound/playout";
import {
  type PlayoutCommand,
  type PlayoutReport,
  playoutProcessor,
} from "../../src/play/sound/playout-processor";
import { TimeStretcher } from "../../src/play/sound/time-stretcher";

const RATE = 48_000;
const QUANTUM = 128;
const HZ = 1_000;

interface Processor {
  port: {
    onmessage: (event: { data: PlayoutCommand }) => void;
    postMessage: (report: PlayoutReport) => void;
  };
  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean;
}

let processor: Processor;
let reports: PlayoutReport[];
let now: number;

/** Fakes the audio thread's scope. */
beforeEach(() => {
  reports = [];
  now = 0;
  let registered: (new () => Processor) | undefined;
  vi.stubGlobal("sampleRate", RATE);
  Object.defineProperty(globalThis, "currentTime", { get: () => now, configurable: true });
  vi.stubGlobal(
    "AudioWorkletProcessor",
    class {
      port = { onmessage: () => {}, postMessage: (report: PlayoutReport) => reports.push(report) };
    },
  );
  vi.stubGlobal("registerProcessor", (_: string, processorClass: new () => Processor) => {
    registered = processorClass;
  });
  playoutProcessor(Playout, JitterBuffer, TimeStretcher);
  if (!registered) throw new Error("no processor registered");
  processor = new registered();
});
afterEach(() => vi.unstubAllGlobals());

const post = (data: PlayoutCommand) => processor.port.onmessage({ data });

/** Returns 20 ms of a tone, from `at` seconds. */
function tone(at: number): PlayoutCommand {
  const samples = Float32Array.from({ length: RATE / 50 }, (_, index) =>
    Math.sin(2 * Math.PI * HZ * (at + index / RATE)),
  );
  return { samples: [samples], at };
}

/** Renders `seconds` of audio, and posts each command of `due` at its time. */
function run(seconds: number, due: { time: number; command: PlayoutCommand }[] = []): number[] {
  const heard: number[] = [];
  for (const end = now + seconds; now < end; now += QUANTUM / RATE) {
    for (let next = due[0]; next && next.time <= now; next = due[0]) {
      due.shift();
      post(next.command);
    }
    const output = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)];
    processor.process([], [output]);
    heard.push(...(output[0] as Float32Array));
  }
  return heard;
}

/** Returns chunks in order, each of which arrives late by `lateness` after its last sample. */
function chunks(count: number, lateness: (index: number) => number, from = 0) {
  let last = 0;
  return Array.from({ length: count }, (_, index) => {
    last = Math.max(last, from + (index + 1) * 0.02 + lateness(index));
    return { time: last, command: tone(from + index * 0.02) };
  });
}

/** Returns the frequency of a tone, by its upward zero crossings. */
function frequency(heard: number[]): number {
  const rises = heard.flatMap((sample, at) =>
    at > 0 && (heard[at - 1] ?? 0) < 0 && sample >= 0 ? [at] : [],
  );
  return ((rises.length - 1) * RATE) / ((rises.at(-1) ?? 0) - (rises[0] ?? 0));
}

/** Returns the longest silence, in seconds. */
function silence(heard: number[]): number {
  let longest = 0;
  let quiet = 0;
  for (const sample of heard) {
    quiet = Math.abs(sample) < 1e-4 ? quiet + 1 : 0;
    longest = Math.max(longest, quiet);
  }
  return longest / RATE;
}

test("playout smooths jitter", () => {
  post({ delay: 0.06 });
  const heard = run(
    2,
    chunks(100, (index) => ((index * 7) % 30) / 1_000),
  ).slice(RATE * 0.1);
  expect(silence(heard)).toBeLessThan(0.001);
  expect(frequency(heard)).toBeCloseTo(HZ, 0);
  expect(reports.at(-1)?.starved).toBe(0);
});

test("sample plays when it is due", () => {
  post({ delay: 0.1 });
  run(
    1,
    chunks(50, () => 0),
  );
  expect(reports.at(-1)?.delay).toBeCloseTo(0.1, 2);
});

test("changed delay is reached without silence or change of pitch", () => {
  post({ delay: 0.06 });
  const due = chunks(400, () => 0);
  run(1, due);
  post({ delay: 0.12 });
  const later = run(2, due);
  expect(reports.at(-1)?.delay).toBeGreaterThan(0.105);
  expect(frequency(later)).toBeCloseTo(HZ, -1);
  expect(silence(later)).toBeLessThan(0.001);
  post({ delay: 0.05 });
  const earlier = run(2, due);
  expect(reports.at(-1)?.delay).toBeLessThan(0.065);
  expect(frequency(earlier)).toBeCloseTo(HZ, -1);
  expect(silence(earlier)).toBeLessThan(0.001);
});

test("missing chunks are silence of their length, and later ones stay in time", () => {
  post({ delay: 0.06 });
  const due = chunks(100, () => 0).filter((_, index) => index < 40 || index >= 50);
  const heard = run(2, due).slice(RATE * 0.1);
  expect(silence(heard)).toBeCloseTo(0.2, 1);
  expect(reports.at(-1)?.delay).toBeCloseTo(0.06, 2);
});

test("playout follows a jump of the clock", () => {
  post({ delay: 0.06 });
  run(
    1,
    chunks(50, () => 0),
  );
  post({ delay: 0.06 - 100 });
  const heard = run(
    1,
    chunks(50, () => 0, 1).map(({ time, command }) => ({ time, command: shifted(command, 100) })),
  );
  expect(silence(heard.slice(RATE * 0.2))).toBeLessThan(0.001);
});

function shifted(command: PlayoutCommand, seconds: number): PlayoutCommand {
  return "samples" in command ? { ...command, at: command.at + seconds } : command;
}
