// Failed upgrades: whatever a proxy does to a WebSocket, the session keeps polling.
//
// From socketio/engine.io#123, socketio/engine.io-client#202 and Totodore/socketioxide#732. The end of a
// pending poll when the probe is answered: from socketio/engine.io-client#18.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { EngineSession } from "../../lib/raw/engine-session.mjs";
import { within } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { PythonPeer } from "../../lib/peers/python-peer.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";
import { breakAfter, breakAtMove, openTrap, TRAPS } from "../../lib/network/websocket-trap.mjs";

const UPGRADE_TIMEOUT_MS = 2_000;
const PROBED_FOR_A_WHILE = { WEIR_SOCKETIO__UPGRADE_TIMEOUT_MS: String(UPGRADE_TIMEOUT_MS) };

/** Observation time of an idle client: the duration is under test. */
const IDLE_MS = 3_000;
const POLLS_PER_SECOND = 5;

const MESSAGES = 15;
const MEGABYTE = 1_000_000;

/** Creates a stock client with default options, which counts its connects and disconnects. */
function stockClient(t, url) {
  const socket = io(url, { forceNew: true });
  atEnd(t, () => socket.close());
  const peer = new SocketPeer("stock", socket);
  peer.connects = 0;
  peer.disconnects = [];
  socket.on("connect", () => peer.connects++);
  socket.on("disconnect", (reason) => peer.disconnects.push(reason));
  return peer;
}

async function connected(peer) {
  if (!peer.socket.connected) {
    await within("the client connects", new Promise((resolve) => peer.socket.once("connect", resolve)));
  }
}

async function witnessOf(t, node) {
  const witness = await SocketPeer.connect(t, node.url, "websocket", "witness");
  const { room } = await witness.request("room:create");
  await witness.join(room.id);
  return { witness, room: room.id };
}

/** Sends messages in both directions at once; each side receives all of them in order. */
async function exchange(one, other, round) {
  const numbers = Array.from({ length: MESSAGES }, (_, n) => n);
  const said = Promise.all(
    [one, other].flatMap((peer) => numbers.map((n) => peer.request("message", { topic: round, data: n }))),
  );
  for (const peer of [one, other]) {
    const got = () => peer.all("message").filter(({ topic }) => topic === round);
    await peer.until(`has the messages of round ${round}`, () => got().length >= MESSAGES);
    assert.deepEqual(got().map(({ data }) => data), numbers, `${peer.label}, round ${round}`);
  }
  await said;
}

async function assertIdle(trap) {
  await pause(IDLE_MS);
  const polls = trap.pollsSince(IDLE_MS);
  assert.ok(polls < (POLLS_PER_SECOND * IDLE_MS) / 1_000, `${polls} polls in ${IDLE_MS} ms`);
}

for (const [what, trap] of Object.entries(TRAPS)) {
  test(`a stock client behind a proxy that ${what} keeps one session and all events`, async (t) => {
    const node = await startNode(t, PROBED_FOR_A_WHILE);
    const { witness, room } = await witnessOf(t, node);
    const proxy = await openTrap(t, node.url, trap);
    const client = stockClient(t, proxy.url);
    await connected(client);
    await client.join(room);
    await exchange(client, witness, "during the probe");
    await assertIdle(proxy);
    await exchange(client, witness, "after the probe");
    await assertIdle(proxy);
    await exchange(client, witness, "much later");
    assert.equal(client.transport, "polling");
    assert.deepEqual([client.connects, client.disconnects], [1, []]);
    assert.deepEqual([proxy.handshakes, proxy.sessions.size], [1, 1]);
    assert.deepEqual(witness.all("member:left"), []);
  });
}

test("a stock client that loses its upgrade reconnects", async (t) => {
  // The client believes that it has upgraded, or waits for its timeout: this is a disconnect.
  const node = await startNode(t, { WEIR_SOCKETIO__PING_INTERVAL_MS: "1000", WEIR_SOCKETIO__PING_TIMEOUT_MS: "2000" });
  const { witness, room } = await witnessOf(t, node);
  let cut = 0;
  const proxy = await openTrap(t, node.url, (met) => (cut++ === 0 ? breakAtMove(met) : breakAfter(Infinity)(met)));
  const client = stockClient(t, proxy.url);
  // The client may be cut off before it connects to the namespace; that counts as well.
  let opened = 0;
  client.socket.io.on("open", () => opened++);
  await within("it comes back", new Promise((resolve) => client.socket.io.once("reconnect", resolve)));
  await connected(client);
  await client.join(room);
  await exchange(client, witness, "after it came back");
  await assertIdle(proxy);
  assert.equal(opened, 2);
});

test("a stock client whose WebSocket breaks after 1 MB reconnects once", async (t) => {
  const node = await startNode(t);
  const { witness, room } = await witnessOf(t, node);
  const proxy = await openTrap(t, node.url, breakAfter(MEGABYTE));
  const client = stockClient(t, proxy.url);
  await connected(client);
  await within("it upgrades", client.upgraded);
  await client.join(room);
  const back = new Promise((resolve) => client.socket.io.once("reconnect", resolve));
  for (let sent = 0; sent < 2 * MEGABYTE; sent += 60_000) {
    await witness.request("message", { data: "x".repeat(60_000) });
  }
  await within("it comes back", back);
  await connected(client);
  assert.deepEqual([client.connects, client.disconnects.length], [2, 1]);
  assert.equal((await witness.event("member:left")).reason, "disconnected");
  await client.join(room);
  await exchange(client, witness, "after it came back");
  await assertIdle(proxy);
  assert.equal(proxy.sessions.size, 2);
  assert.deepEqual([client.connects, client.disconnects.length], [2, 1]);
});

/**
 * Proxy failures for python-engineio: it does not poll while it probes, and its probe has no timeout. If the
 * connection ends before a response, aiohttp repeats the request. Each with its number of handshakes.
 */
const PYTHON_TRAPS = Object.entries({
  "forwards the 101 and swallows everything else": 1,
  "swallows the 101 and everything else": 2,
  "forwards the 101 and breaks the WebSocket": 1,
  "answers 101 itself and breaks the WebSocket": 1,
  "answers 400": 1,
  "swallows what comes from the node after its 101": 1,
});

for (const [what, handshakes] of PYTHON_TRAPS) {
  test(`python-socketio behind a proxy that ${what} keeps one session and all events`, async (t) => {
    // With default timeouts: the probe must end before the deadline of the CONNECT packet.
    const node = await startNode(t);
    const { witness, room } = await witnessOf(t, node);
    const proxy = await openTrap(t, node.url, TRAPS[what]);
    const client = await PythonPeer.connect(t, proxy.url);
    assert.equal(await client.transport, "polling");
    await client.join(room);
    await exchange(client, witness, "after the probe");
    await assertIdle(proxy);
    await exchange(client, witness, "much later");
    assert.deepEqual([proxy.handshakes, proxy.sessions.size], [handshakes, 1]);
    assert.deepEqual(witness.all("member:left"), []);
  });
}

/** Opens a session that polls on demand, in a room with a witness that sends messages. */
async function polling(t, env = {}) {
  const node = await startNode(t, env);
  const { witness, room } = await witnessOf(t, node);
  const session = await EngineSession.open(node.url);
  await session.connect();
  assert.equal((await session.ask(0, "room:join", { room })).ok, true);
  let said = 0;
  const hears = async () => {
    const text = `text ${said++}`;
    await witness.request("message", { data: text });
    await session.until((packet) => packet.includes(text));
  };
  return { node, session, hears };
}

/** Upgrades a session to a WebSocket, as a stock client does. */
async function move(session, socket) {
  socket.send("2probe");
  assert.equal(await socket.next(), "3probe");
  assert.deepEqual(await session.poll(), ["6"]);
  socket.send("5");
  socket.send('421["room:leave"]');
  assert.equal(await socket.next(), '431[{"ok":true}]');
}

test("an invalid probe closes only its WebSocket, and a later upgrade works", async (t) => {
  const { session, hears } = await polling(t);
  const masks = [["2"], ["3probe"], ["hello"], [""], [Buffer.from("2probe")], ["2probe", "2probe!"], ["x".repeat(70_000)]];
  for (const messages of masks) {
    const socket = await session.webSocket(t);
    for (const message of messages) socket.send(message);
    assert.equal(await within("it is closed", socket.closed), 1002, String(messages[0]).slice(0, 20));
    await hears();
  }
  await move(session, await session.webSocket(t));
});

test("polls during a probe get pending packets, and one NOOP when it is answered", async (t) => {
  const { session, hears } = await polling(t, PROBED_FOR_A_WHILE);
  const socket = await session.webSocket(t);
  await hears();
  const pending = session.poll();
  socket.send("2probe");
  assert.equal(await socket.next(), "3probe");
  assert.deepEqual(await pending, ["6"]);
  await hears();
  // The node throttles a client that polls without a pause.
  const end = Date.now() + 1_000;
  let noops = 0;
  while (Date.now() < end) noops += (await session.poll()).includes("6");
  assert.ok(noops >= 1 && noops < POLLS_PER_SECOND, `${noops} NOOPs`);
  assert.equal(await within("the probe ends", socket.closed), 1006);
  await hears();
});

test("a silent probe ends after upgrade_timeout_ms, and a second one is refused meanwhile", async (t) => {
  const { session, hears } = await polling(t, PROBED_FOR_A_WHILE);
  const begun = Date.now();
  const socket = await session.webSocket(t);
  await assert.rejects(session.webSocket(t), ({ answer }) => answer.statusCode === 400);
  await hears();
  await within("the probe ends", socket.closed);
  const took = Date.now() - begun;
  assert.ok(took >= UPGRADE_TIMEOUT_MS - 100 && took < 2 * UPGRADE_TIMEOUT_MS, `it took ${took} ms`);
  await hears();
  await move(session, await session.webSocket(t));
  await assert.rejects(session.webSocket(t), ({ answer }) => answer.statusCode === 400);
});

test("a session that ends closes its probe", async (t) => {
  const { session } = await polling(t);
  const socket = await session.webSocket(t);
  await session.send("1");
  await within("the probe ends", socket.closed);
});

test("a WebSocket that breaks after the upgrade ends its session", async (t) => {
  const { node, session } = await polling(t);
  const socket = await session.webSocket(t);
  await move(session, socket);
  socket.terminate();
  const gone = await within(
    "the session ends",
    (async () => {
      for (;;) {
        const { status } = await fetch(session.path);
        const again = await fetch(`${node.url}/socket.io/?EIO=4&transport=polling&sid=${session.sid}`);
        const { code } = await again.json();
        if (code === 1) return status;
      }
    })(),
  );
  assert.equal(gone, 400);
});
