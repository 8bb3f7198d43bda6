import assert from "node:assert/strict";
import { Random } from "../harness/random.mjs";

/** Payload sizes in rotation: one byte, small audio, a video frame, more than one TCP segment. */
const SIZES = [1, 160, 1_200, 6_000, 300, 20_000];

const DURATION_US = 20_000;

/** Number of chunks from one key chunk to the next. */
const GROUP = 50;

/** Returns the `n`th chunk (from 1) of `track`, deterministically. */
export function chunk(track, n) {
  const header = { track, ts: n * DURATION_US, dur: DURATION_US };
  if (n % GROUP === 1) header.key = true;
  return { header, payload: payload(track, n) };
}

function payload(track, n) {
  const random = new Random(track * 1_000_003 + n);
  const bytes = Buffer.alloc(SIZES[n % SIZES.length]);
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.below(256);
  return bytes;
}

/** Asserts that these are the chunks of `track` from `first` on, each once, in order and intact. */
export function assertChunks(who, chunks, track, first = 1) {
  chunks.forEach(({ header, payload }, index) => {
    const seq = first + index;
    const sent = chunk(track.id, seq);
    // A node may mark more chunks of audio and data tracks as key.
    if (track.kind !== "video" && header.key) sent.header.key = true;
    assert.deepEqual(header, { ...sent.header, seq }, `${who}: header ${seq} of track ${track.id}`);
    assert.ok(sent.payload.equals(payload), `${who}: payload ${seq} of track ${track.id}`);
  });
}
