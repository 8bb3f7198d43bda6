// Scenario of clients in one room, and the events that each must receive.
import assert from "node:assert/strict";
import { assertChunks, chunk } from "../media/chunk.mjs";
import { PythonPeer } from "./python-peer.mjs";
import { SocketPeer } from "./socket-peer.mjs";
import { assertHistory, assertSameView, version } from "./view.mjs";

const CHUNKS = 210;

/**
 * Chunks of a burst, before all have received them. A node's queue for a slow client holds
 * at least as many.
 */
const BURST = 30;

const MESSAGES = 5;

const TRACKS = [
  { kind: "video", codec: "vp8", width: 640, height: 360, frameRate: 29.97, init: Buffer.from([0, 1, 254, 255]).toString("base64") },
  { kind: "audio", codec: "opus", sampleRate: 48_000, channels: 2, source: "microphone" },
  { kind: "data", codec: "application/octet-stream", name: "telemetry", init: Buffer.from("{}").toString("base64") },
  { kind: "video", codec: 'video/webm;codecs="vp8,opus"' },
];

/** Makes all peers join, publish, send and change things at once. Asserts that each receives everything. */
export async function exchange(peers) {
  const { room } = await peers[0].request("room:create", { metadata: { title: "interop" } });
  await Promise.all(peers.map((peer) => peer.join(room.id, { metadata: { client: peer.label } })));
  await Promise.all(peers.map((peer) => everybodyHere(peer, peers)));

  await Promise.all(
    peers.map(async (peer, index) => {
      const wanted = TRACKS[index % TRACKS.length];
      peer.track = (await peer.request("track:publish", wanted)).track;
      const { id, member, muted, ...rest } = peer.track;
      assert.deepEqual({ member, muted, ...rest }, { member: peer.id, muted: false, ...wanted });
      const next = peers[(index + 1) % peers.length];
      const others = peers.filter((each) => each !== peer);
      await Promise.all([sendChunks(peer, others), sendMessages(peer, next)]);
      await peer.request("track:update", { track: id, muted: true });
      await peer.request("member:update", { metadata: { done: true } });
    }),
  );

  for (const peer of peers) {
    for (const other of peers.filter((each) => each !== peer)) {
      await peer.until(
        `has everything of ${other.label}`,
        () => peer.chunks(other.track.id).length >= CHUNKS && messages(peer, other).length >= MESSAGES,
      );
      await peer.event("member:updated", ({ member }) => member.id === other.id);
      assertTold(peer, other);
    }
    assert.deepEqual(peer.chunks(peer.track.id), [], `${peer.label} is sent its own chunks`);
    assert.deepEqual(peer.all("media:gap"), []);
    assert.deepEqual(peer.all("error"), []);
  }
  // A barrier behind everything else: later events must not go unnoticed.
  await Promise.all(peers.map((peer) => peer.request("message", { topic: "barrier", data: peer.label })));
  for (const peer of peers) {
    await peer.until(
      "has every barrier",
      () => peer.all("message").filter(({ topic }) => topic === "barrier").length === peers.length - 1,
    );
    for (const other of peers.filter((each) => each !== peer)) assertTold(peer, other);
  }
  assertHistory(peers, () => Math.max(...peers.map(version)));
}

function everybodyHere(peer, peers) {
  const { self, members } = peer.joined;
  assert.deepEqual(members.find(({ id }) => id === self.id), self);
  assert.deepEqual({ name: self.name, metadata: self.metadata }, { name: peer.label, metadata: { client: peer.label } });
  return peer.until("sees everybody", () => {
    const before = peer.joined.members.map(({ id }) => id);
    const since = peer.all("member:joined").map(({ member }) => member.id);
    return before.length + since.length === peers.length;
  });
}

async function sendChunks(peer, others) {
  for (let n = 1; n <= CHUNKS; n++) {
    const { header, payload } = chunk(peer.track.id, n);
    if (n % BURST !== 0) {
      peer.emit("media", header, payload);
      continue;
    }
    assert.deepEqual(await peer.request("media", header, payload), { seq: n });
    await Promise.all(others.map((other) => has(other, peer.track, n)));
  }
}

function has(peer, track, count) {
  return peer.until(`has ${count} chunks of track ${track.id}`, () => peer.chunks(track.id).length >= count);
}

/** Sends messages to everybody, then one to `next` alone. */
async function sendMessages(peer, next) {
  for (let n = 1; n <= MESSAGES; n++) {
    await peer.request("message", { topic: "chat", data: message(peer, n) });
  }
  await peer.request("message", { topic: "aside", to: [next.id], data: next.label });
  next.asideFrom = peer;
}

function message(peer, n) {
  return { n, text: `Grüße von ${peer.label} 👋`, bytes: Buffer.from([n, 0, 255]) };
}

function messages(peer, from, topic = "chat") {
  return peer.all("message").filter((each) => each.from === from.id && each.topic === topic);
}

/** Asserts that `peer` received everything of `other` once and in order, the track before its chunks. */
function assertTold(peer, other) {
  const who = `${peer.label} of ${other.label}`;
  const chunks = peer.chunks(other.track.id);
  assert.equal(chunks.length, CHUNKS, `${who}: chunks`);
  assertChunks(who, chunks, other.track);
  const expected = Array.from({ length: MESSAGES }, (_, index) => ({
    from: other.id,
    topic: "chat",
    data: message(other, index + 1),
  }));
  assert.deepEqual(messages(peer, other), expected, `${who}: messages`);
  const asides = peer.asideFrom === other ? [{ from: other.id, topic: "aside", data: peer.label }] : [];
  assert.deepEqual(messages(peer, other, "aside"), asides, `${who}: what is for one alone`);
  const published = peer.told.findIndex(
    ({ event, args }) => event === "track:published" && args[0].track.id === other.track.id,
  );
  assert.deepEqual(peer.told[published]?.args[0].track, other.track, `${who}: track:published`);
  const first = peer.told.findIndex(({ event, args }) => event === "media" && args[0].track === other.track.id);
  assert.ok(published < first, `${who}: a chunk comes before its track`);
}

/** One leaves, one closes, one is killed. Asserts that the others are notified and see what a newcomer sees. */
export async function leave(t, url, peers) {
  const [stays, leaves, ...rest] = peers;
  const reasons = new Map([[leaves.id, "left"]]);
  await leaves.request("room:leave");
  for (const peer of rest) {
    reasons.set(peer.id, "disconnected");
    // A polling client's end shows only in its silence, which takes a while.
    if (peer instanceof PythonPeer && (await peer.transport) === "websocket") await peer.kill();
    else await peer.close();
  }
  for (const [id, reason] of reasons) {
    assert.equal((await stays.event("member:left", (left) => left.id === id)).reason, reason);
  }
  const fresh = await SocketPeer.connect(t, url, "websocket", "fresh");
  await fresh.join(stays.joined.room.id);
  await stays.event("member:joined", ({ member }) => member.id === fresh.id);
  assertHistory([...peers, fresh], (peer) => (peer === stays ? fresh.joined.version : version(peer)));
  assertSameView(stays, fresh);
  assert.deepEqual(fresh.joined.tracks, [{ ...stays.track, muted: true }]);
}
