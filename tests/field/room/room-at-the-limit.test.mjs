// Every client joins a room whose state has the maximum length, over each transport.
// Reports: miguelgrinberg/python-engineio#292 and miguelgrinberg/python-socketio#486 (aiohttp closes a
// connection whose message has 4 MiB), socketio/socket.io#5489.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCluster } from "../../lib/servers/cluster.mjs";
import { JavaPeer } from "../../lib/peers/java-peer.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { PythonPeer } from "../../lib/peers/python-peer.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

const LIMIT = 4_194_304;
const UNHURRIED = { WEIR_LIMITS__REQUEST_BURST: "100000", WEIR_LIMITS__REQUESTS_PER_SECOND: "100000" };

/**
 * Upper bound on the bytes that a member with a short name adds to the room's state and to its own answer.
 */
const JOIN_BYTES = 1_000;

/** Bytes that the limit counts for an answer beside the state and the joiner. */
const ANSWER = 128;

const length = ({ room, members, tracks }) => Buffer.byteLength(JSON.stringify({ room, members, tracks }));

/** All clients and transports that can join. */
const CLIENTS = [
  ...["websocket", "polling", "upgrade"].map((way) => [`socket.io-client ${way}`, (t, url) => SocketPeer.connect(t, url, way)]),
  ["python-socketio websocket", (t, url) => PythonPeer.connect(t, url, ["websocket"])],
  ["python-socketio polling", (t, url) => PythonPeer.connect(t, url, ["polling"])],
  ["python-socketio upgrade", (t, url) => PythonPeer.connect(t, url)],
  ["socket.io-client-java websocket", (t, url) => JavaPeer.connect(t, url, ["websocket"])],
  ["socket.io-client-java polling", (t, url) => JavaPeer.connect(t, url, ["polling"])],
  ["socket.io-client-java upgrade", (t, url) => JavaPeer.connect(t, url)],
];

/** Fills a room's state up to `free` bytes below the limit; resolves with the peers that hold it. */
async function fill(t, url, room, free) {
  const first = await SocketPeer.connect(t, url, "websocket", "first");
  await first.join(room, { create: true });
  const filler = [first];
  let state = first.joined;
  const init = Buffer.alloc(65_536, 7).toString("base64");
  for (;;) {
    const left = LIMIT - free - length(state);
    // Minimum length of a track's record.
    if (left < 200) return filler;
    const publisher = filler.at(-1);
    const wanted = { kind: "data", codec: "x", init: init.slice(0, Math.max(0, Math.min(init.length, left - 200) & ~3)) };
    const { ok, track, error } = await publisher.ask("track:publish", wanted);
    if (ok) {
      state.tracks.push(track);
    } else {
      assert.match(error.message, /^tracks: /);
      const next = await SocketPeer.connect(t, url, "websocket", `filler ${filler.length}`);
      await next.join(room);
      filler.push(next);
      state = next.joined;
    }
  }
}

/** Joins with as much metadata as fits: it is in the answer twice. */
async function joinWithLongestAnswer(peer, room) {
  const wanted = (bytes) => ({ room, metadata: "x".repeat(bytes) });
  const { message } = await peer.refusal("room:join", wanted(16_000));
  const over = Number(message.match(/: (\d+) bytes are over/)[1]) - LIMIT;
  const fitting = await peer.ask("room:join", wanted(16_000 - Math.ceil(over / 2)));
  assert.equal(fitting.ok, true, JSON.stringify(fitting.error));
  return fitting;
}

async function joinedByAll(t, url, room) {
  await fill(t, url, room, CLIENTS.length * JOIN_BYTES);
  for (const [name, connect] of CLIENTS) {
    const peer = await connect(t, url);
    peer.label = name;
    const joined = await peer.join(room);
    const bytes = length(joined);
    assert.ok(bytes > LIMIT - (CLIENTS.length + 1) * JOIN_BYTES && bytes <= LIMIT, `${name}: ${bytes}`);
    assert.ok(joined.members.some(({ id }) => id === peer.id));
    // The connection stays usable; then joins again with an answer of the maximum length.
    await peer.request("member:update", { name: "x" });
    await peer.request("room:leave");
    const longest = await joinWithLongestAnswer(peer, room);
    const counted = length(longest) + Buffer.byteLength(JSON.stringify(longest.self)) + ANSWER;
    assert.ok(counted === LIMIT || counted === LIMIT - 1, `${name}: ${counted}`);
    await peer.request("room:leave");
    await peer.join(room);
  }
  // The last byte: metadata up to the limit, so that no other member fits.
  const last = await SocketPeer.connect(t, url, "websocket", "last");
  const before = await last.join(room);
  const left = LIMIT - length(before);
  await last.request("member:update", { metadata: "x".repeat(left) });
  const refused = await last.refusal("member:update", { metadata: "x".repeat(left + 1) });
  assert.equal(refused.code, "too_large");
  assert.equal(refused.message, `room state: ${LIMIT + 1} bytes are over the limit of ${LIMIT} bytes`);
  const late = await SocketPeer.connect(t, url, "websocket", "late");
  const { code, message } = await late.refusal("room:join", { room });
  assert.equal(code, "too_large");
  assert.match(message, new RegExp(`^room state: \\d+ bytes are over the limit of ${LIMIT} bytes$`));
  for (const [event, argument] of [
    ["track:publish", { kind: "data", codec: "x" }],
    ["member:update", { name: "longer" }],
  ]) {
    assert.equal((await last.refusal(event, argument)).code, "too_large", event);
  }
}

test("every client joins a full room in memory", async (t) => {
  const node = await startNode(t, UNHURRIED);
  await joinedByAll(t, node.url, "hall");
});

test("every client joins a full room on Redis", async (t) => {
  const { nodes } = await startCluster(t, 1, UNHURRIED);
  await joinedByAll(t, nodes[0].url, "hall");
});
