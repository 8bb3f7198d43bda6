import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type PlayoutCommand, type PlayoutReport, playoutProcessor } from "../../src/play/sound/playout";

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

/** The audio thread, as far as the processor sees it. */
beforeEach(() => {
  reports = [];
  now = 0;
  let made: (new () => Processor) | undefined;
  vi.stubGlobal("sampleRate", RATE);
  Object.defineProperty(globalThis, "currentTime", { get: () => now, configurable: true });
  vi.stubGlobal(
    "AudioWorkletProcessor",
    class {
      port = { onmessage: () => {}, postMessage: (report: PlayoutReport) => reports.push(report) };
    },
  );
  vi.stubGlobal("registerProcessor", (_: string, processorClass: new () => Processor) => {
    made = processorClass;
  });
  playoutProcessor();
  if (!made) throw new Error("nothing was registered");
  processor = new made();
});
afterEach(() => vi.unstubAllGlobals());

const tell = (data: PlayoutCommand) => processor.port.onmessage({ data });

/** Twenty milliseconds of a tone, which begin at `at` seconds. */
function tone(at: number): PlayoutCommand {
  const samples = Float32Array.from({ length: RATE / 50 }, (_, index) =>
    Math.sin(2 * Math.PI * HZ * (at + index / RATE)),
  );
  return { samples: [samples], at };
}

/** Runs for `seconds`; whatever is in `due` is told when its time has come. */
function run(seconds: number, due: { time: number; command: PlayoutCommand }[] = []): number[] {
  const heard: number[] = [];
  for (const end = now + seconds; now < end; now += QUANTUM / RATE) {
    for (let next = due[0]; next && next.time <= now; next = due[0]) {
      due.shift();
      tell(next.command);
    }
    const output = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)];
    processor.process([], [output]);
    heard.push(...(output[0] as Float32Array));
  }
  return heard;
}

/** Chunks that arrive when they are complete and so late, but never before an earlier one. */
function chunks(count: number, lateness: (index: number) => number, from = 0) {
  let last = 0;
  return Array.from({ length: count }, (_, index) => {
    last = Math.max(last, from + (index + 1) * 0.02 + lateness(index));
    return { time: last, command: tone(from + index * 0.02) };
  });
}

/** The tone's height in what was heard, by its passages upward through zero. */
function height(heard: number[]): number {
  const rises = heard.flatMap((sample, at) =>
    at > 0 && (heard[at - 1] ?? 0) < 0 && sample >= 0 ? [at] : [],
  );
  return ((rises.length - 1) * RATE) / ((rises.at(-1) ?? 0) - (rises[0] ?? 0));
}

/** The longest silence, in seconds. */
function silence(heard: number[]): number {
  let longest = 0;
  let quiet = 0;
  for (const sample of heard) {
    quiet = Math.abs(sample) < 1e-4 ? quiet + 1 : 0;
    longest = Math.max(longest, quiet);
  }
  return longest / RATE;
}

test("chunks that come unevenly are heard evenly", () => {
  tell({ delay: 0.06 });
  const heard = run(
    2,
    chunks(100, (index) => ((index * 7) % 30) / 1_000),
  ).slice(RATE * 0.1);
  expect(silence(heard)).toBeLessThan(0.001);
  expect(height(heard)).toBeCloseTo(HZ, 0);
  expect(reports.at(-1)?.starved).toBe(0);
});

test("it leaves when it is due", () => {
  tell({ delay: 0.1 });
  run(
    1,
    chunks(50, () => 0),
  );
  expect(reports.at(-1)?.delay).toBeCloseTo(0.1, 2);
});

test("a later time is reached by repeating, an earlier one by cutting, and the tone stays", () => {
  tell({ delay: 0.06 });
  const due = chunks(400, () => 0);
  run(1, due);
  tell({ delay: 0.12 });
  const later = run(2, due);
  expect(reports.at(-1)?.delay).toBeGreaterThan(0.105);
  expect(height(later)).toBeCloseTo(HZ, -1);
  expect(silence(later)).toBeLessThan(0.001);
  tell({ delay: 0.05 });
  const earlier = run(2, due);
  expect(reports.at(-1)?.delay).toBeLessThan(0.065);
  expect(height(earlier)).toBeCloseTo(HZ, -1);
  expect(silence(earlier)).toBeLessThan(0.001);
});

test("where chunks are missing there is silence of their length, and what follows is in time", () => {
  tell({ delay: 0.06 });
  const due = chunks(100, () => 0).filter((_, index) => index < 40 || index >= 50);
  const heard = run(2, due).slice(RATE * 0.1);
  expect(silence(heard)).toBeCloseTo(0.2, 1);
  expect(reports.at(-1)?.delay).toBeCloseTo(0.06, 2);
});

test("a stream whose clock jumps goes on with the new time", () => {
  tell({ delay: 0.06 });
  run(
    1,
    chunks(50, () => 0),
  );
  tell({ delay: 0.06 - 100 });
  const heard = run(
    1,
    chunks(50, () => 0, 1).map(({ time, command }) => ({ time, command: shifted(command, 100) })),
  );
  expect(silence(heard.slice(RATE * 0.2))).toBeLessThan(0.001);
});

function shifted(command: PlayoutCommand, seconds: number): PlayoutCommand {
  return "samples" in command ? { ...command, at: command.at + seconds } : command;
}
