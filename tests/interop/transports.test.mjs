// Bursts over WebSocket and long-polling, and upgrades under load.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setInterval as every } from "node:timers/promises";
import { assertChunks, chunk } from "../lib/media/chunk.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

/** Chunks of a burst: more than a poll or a queue of packets usually holds. */
const BURST = 300;

/** Interval of chunks during an upgrade. */
const PACE_MS = 5;

/** Chunks before and after an upgrade. */
const AROUND = 20;

/** Attempts of each upgrade, which happen at different moments of the stream. */
const UPGRADES = 10;

test("a node serves the app and its health endpoints", async (t) => {
  const node = await startNode(t);
  const page = await fetch(node.url);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-type"), /^text\/html/);
  assert.match(await page.text(), /weir/i);
  assert.equal((await fetch(`${node.opsUrl}/livez`)).status, 200);
  assert.equal((await fetch(`${node.opsUrl}/readyz`)).status, 200);
  assert.equal((await fetch(`${node.opsUrl}/no-such-page`)).status, 404);
  assert.equal((await fetch(`${node.url}/readyz`)).status, 404, "operations have a port of their own");
});

for (const [from, to] of [
  ["websocket", "polling"],
  ["polling", "websocket"],
  ["polling", "polling"],
]) {
  test(`a burst of ${BURST} chunks from ${from} to ${to} arrives in order`, async (t) => {
    const node = await startNode(t);
    const { room, publisher, track } = await publishing(t, node, from);
    const subscriber = await SocketPeer.connect(t, node.url, to, "subscriber");
    await subscriber.join(room);

    for (let n = 1; n <= BURST; n++) publisher.emit("media", { track: track.id, ts: n }, Buffer.alloc(1200, n));
    const barrier = publisher.request("message", { data: "all sent" });
    await subscriber.event("message");
    await barrier;

    const chunks = subscriber.chunks(track.id);
    const expected = Array.from({ length: BURST }, (_, index) => index + 1);
    assert.deepEqual(chunks.map(({ header }) => header.seq), expected);
    assert.deepEqual(chunks.map(({ header }) => header.ts), expected);
    assert.ok(chunks.every(({ payload }, index) => payload.equals(Buffer.alloc(1200, index + 1))));
    assert.deepEqual(subscriber.all("media:gap"), []);
  });
}

test("an upgrade while receiving loses no chunk", async (t) => {
  const node = await startNode(t);
  const { room, publisher, track } = await publishing(t, node, "websocket");
  const labels = Array.from({ length: UPGRADES }, (_, index) => `upgrading ${index}`);
  const subscribers = await Promise.all(labels.map((label) => SocketPeer.connect(t, node.url, "late", label)));
  await Promise.all(subscribers.map((peer) => peer.join(room)));

  const sent = await publishDuring(publisher, track, async () => {
    for (const peer of subscribers) {
      assert.equal(peer.transport, "polling");
      await peer.upgrade();
      assert.equal(peer.transport, "websocket");
    }
  });
  for (const peer of subscribers) await assertHasAll(peer, track, sent);
});

test("an upgrade while publishing loses no chunk", async (t) => {
  const node = await startNode(t);
  const subscriber = await SocketPeer.connect(t, node.url, "websocket", "subscriber");
  const { room } = await subscriber.request("room:create");
  await subscriber.join(room.id);
  for (let upgrade = 0; upgrade < UPGRADES; upgrade++) {
    const publisher = await SocketPeer.connect(t, node.url, "late", "publisher");
    await publisher.join(room.id);
    const { track } = await publisher.request("track:publish", { kind: "data", codec: "text/plain" });
    const sent = await publishDuring(publisher, track, () => publisher.upgrade());
    assert.equal(publisher.transport, "websocket");
    await assertHasAll(subscriber, track, sent);
    await publisher.close();
  }
});

/** Publishes chunks at a steady pace before, during and after `happening`. Returns their number. */
async function publishDuring(publisher, track, happening) {
  let sent = 0;
  let happened;
  let over = Infinity;
  for await (const _ of every(PACE_MS)) {
    const { header, payload } = chunk(track.id, ++sent);
    publisher.emit("media", header, payload);
    if (sent === AROUND) {
      happened = happening().finally(() => (over = sent));
      happened.catch(() => {});
    }
    if (sent >= over + AROUND) break;
  }
  await happened;
  return sent;
}

async function assertHasAll(peer, track, sent) {
  await peer.until(`has all ${sent} chunks`, () => peer.chunks(track.id).length >= sent);
  assertChunks(peer.label, peer.chunks(track.id), track);
  assert.deepEqual(peer.all("media:gap"), []);
}

async function publishing(t, node, way) {
  const publisher = await SocketPeer.connect(t, node.url, way, "publisher");
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id);
  const { track } = await publisher.request("track:publish", { kind: "data", codec: "text/plain" });
  return { publisher, room: room.id, track };
}
