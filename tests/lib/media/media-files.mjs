import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BITS, BLOCK, FRAMES, RATE, SIZE, blockAt } from "../browser/pages/frame-number.js";

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL("../../../target/test-media/", import.meta.url));

const files = new Map();

/** Returns a file of `FOLDER`, which ffmpeg makes on the first request. */
function made(name, args) {
  if (!files.has(name)) files.set(name, make(name, args));
  return files.get(name);
}

async function make(name, args) {
  const file = `${FOLDER}${name}`;
  if (existsSync(file)) return file;
  await mkdir(FOLDER, { recursive: true });
  const unfinished = `${FOLDER}${process.pid}-${name}`;
  await run("ffmpeg", ["-v", "error", "-y", ...args, unfinished]);
  await rename(unfinished, file);
  return file;
}

/**
 * Returns a camera's picture: ffmpeg's `testsrc2` with the number of each frame in a row of black and white
 * blocks, which `frame-number.js` reads.
 */
export function numberedVideo() {
  const box = (at, color, enable) => {
    const { x, y } = blockAt(at);
    return `drawbox=x=${x}:y=${y}:w=${BLOCK}:h=${BLOCK}:color=${color}:t=fill${enable ? `:enable='${enable}'` : ""}`;
  };
  const bits = Array.from({ length: BITS }, (_, bit) => `mod(floor(n/${2 ** bit}),2)`);
  const filter = [
    ...Array.from({ length: BITS + 3 }, (_, at) => box(at, at === 0 ? "white" : "black")),
    ...bits.map((bit, at) => box(at + 2, "white", bit)),
    box(BITS + 2, "white", `mod(${bits.join("+")},2)`),
  ].join(",");
  const source = `testsrc2=size=${SIZE.width}x${SIZE.height}:rate=${RATE}`;
  return made("numbered.y4m", [
    "-f", "lavfi", "-i", source, "-vf", filter, "-frames:v", `${FRAMES}`, "-pix_fmt", "yuv420p",
  ]);
}

/** Returns a microphone's sound: 1 kHz with 100 ms of silence at the end of each second. */
export function toneSound() {
  return made("tone.wav", [
    "-f", "lavfi", "-i", "aevalsrc='0.4*sin(2*PI*1000*t)*lt(mod(t,1),0.9)':s=48000:d=10", "-ac", "1",
  ]);
}
