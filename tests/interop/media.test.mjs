// Live streams of ffmpeg through a node, decoded on the other side.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../lib/harness/folder.mjs";
import { complaints, frames, live } from "../lib/media/ffmpeg.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { PythonPeer } from "../lib/peers/python-peer.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { WebmSplitter } from "../lib/media/webm.mjs";

const SECONDS = 10;

const CODEC = 'video/webm;codecs="vp8,opus"';

test("10 s of live WebM arrive frame by frame, and a late joiner can decode at once", async (t) => {
  const folder = await temporaryFolder(t, "media");
  const node = await startNode(t);
  const publisher = await SocketPeer.connect(t, node.url, "websocket", "publisher");
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id);
  const subscribers = await Promise.all([
    SocketPeer.connect(t, node.url, "websocket"),
    SocketPeer.connect(t, node.url, "polling"),
    PythonPeer.connect(t, node.url),
  ]);
  await Promise.all(subscribers.map((peer) => peer.join(room.id)));
  const late = await SocketPeer.connect(t, node.url, "websocket", "late");

  const source = [];
  const sent = [];
  let track;
  let lateAfter;
  for await (const piece of pieces(live(SECONDS), source)) {
    if (piece.init) {
      const wanted = { kind: "video", codec: CODEC, width: 640, height: 360, init: piece.init.toString("base64") };
      ({ track } = await publisher.request("track:publish", wanted));
      continue;
    }
    const header = { track: track.id, ts: piece.timestamp * 1000, key: piece.key };
    sent.push(piece);
    assert.deepEqual(await publisher.request("media", header, piece.bytes), { seq: sent.length });
    // Another member joins within the second group of pictures.
    const keys = sent.filter(({ key }) => key).length;
    if (keys === 2 && !piece.key && late.joined === undefined) {
      await late.join(room.id);
      lateAfter = sent.length;
    }
  }
  assert.ok(sent.length >= SECONDS * 2, `${sent.length} chunks`);
  assert.equal(sent[0].key, true);
  assert.ok(sent.some(({ key }) => !key));

  const original = join(folder, "source.webm");
  await writeFile(original, Buffer.concat(source));
  const expected = await frames(original);
  assert.deepEqual(expected.video, SECONDS * 30);
  assert.ok(expected.audio > SECONDS * 49, `${expected.audio} audio frames`);

  for (const peer of subscribers) {
    await peer.until("has every chunk", () => peer.chunks(track.id).length >= sent.length);
    const { track: published } = await peer.event("track:published");
    const file = join(folder, `${peer.label}.webm`);
    await writeFile(file, stream(published.init, peer.chunks(track.id)));
    assert.deepEqual(await frames(file), expected, peer.label);
    assert.equal(await complaints(file), "", peer.label);
  }

  const last = (peer) => peer.chunks(track.id).at(-1)?.header.seq;
  await late.until("has the last chunk", () => last(late) === sent.length);
  const [first, ...rest] = late.chunks(track.id).map(({ header }) => header.seq);
  assert.equal(sent[lateAfter].key, false, "there is something to wait for");
  const nextKey = sent.findIndex(({ key }, index) => key && index >= lateAfter) + 1;
  assert.equal(first, nextKey, "the late one starts at the next key chunk");
  assert.equal(rest.length, sent.length - first, "and misses none from there");
  const file = join(folder, "late.webm");
  await writeFile(file, stream(late.joined.tracks[0].init, late.chunks(track.id)));
  assert.equal(await complaints(file), "", "late");
  const { video } = await frames(file);
  assert.ok(video > 0 && video < expected.video, `${video} of ${expected.video} frames`);
});

test("the splitter finds clusters of unknown size however the bytes are split", async () => {
  const whole = [];
  const known = [];
  for await (const piece of pieces(live(1), whole)) known.push(piece);
  assert.ok(known.length > 2, `${known.length} pieces`);
  assert.ok(Buffer.concat(known.map(({ init, bytes }) => init ?? bytes)).equals(Buffer.concat(whole)));

  const unknown = known.map(({ init, bytes }) => init ?? withUnknownSize(bytes));
  const splitter = new WebmSplitter();
  const found = [];
  for (const byte of Buffer.concat(unknown)) found.push(...splitter.push(Buffer.of(byte)));
  found.push(...splitter.end());
  const summary = ({ init, timestamp, key }) => ({ init: init !== undefined, timestamp, key });
  assert.deepEqual(found.map(summary), known.map(summary));
  found.forEach(({ init, bytes }, index) => assert.ok((init ?? bytes).equals(unknown[index]), `piece ${index}`));
});

/** Yields the pieces of a stream and appends its bytes to `whole`. */
async function* pieces(stream, whole) {
  const splitter = new WebmSplitter();
  for await (const bytes of stream) {
    whole.push(bytes);
    yield* splitter.push(bytes);
  }
  yield* splitter.end();
}

function stream(init, chunks) {
  return Buffer.concat([Buffer.from(init, "base64"), ...chunks.map(({ payload }) => payload)]);
}

/** Returns the cluster with an unknown size, as live muxers write it. */
function withUnknownSize(cluster) {
  const id = cluster.subarray(0, 4);
  const sizeLength = Math.clz32(cluster[4]) - 23;
  return Buffer.concat([id, Buffer.from([0x01, 255, 255, 255, 255, 255, 255, 255]), cluster.subarray(4 + sizeLength)]);
}
