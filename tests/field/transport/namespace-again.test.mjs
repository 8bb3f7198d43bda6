// Reconnecting to the namespace on the same connection.
//
// From socketio/socket.io-client#731 and socketio/socket.io#894.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Manager } from "socket.io-client";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { EngineSession, openWebSocket } from "../../lib/raw/engine-session.mjs";
import { within } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** Openers of a session by transport; the tests use only its `send` and `until`. */
const WAYS = {
  polling: (_, url) => EngineSession.open(url),
  websocket: async (t, url) => {
    const socket = await openWebSocket(t, `${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    return overWebSocket(socket);
  },
  upgrade: async (t, url) => {
    const session = await EngineSession.open(url);
    const socket = await session.webSocket(t);
    socket.send("2probe");
    assert.equal(await socket.next(), "3probe");
    socket.send("5");
    return overWebSocket(socket);
  },
};

function overWebSocket(socket) {
  return {
    socket,
    send: async (packet) => socket.send(packet),
    until: async (matches) => {
      for (;;) {
        const packet = await socket.next();
        if (packet === "2") socket.send("3");
        else if (matches(packet)) return packet;
      }
    },
    heard: socket.heard,
  };
}

async function connect(session) {
  await session.send("40");
  return session.until((packet) => packet.startsWith("40"));
}

async function join(session, room) {
  await session.send(`420${JSON.stringify(["room:join", { room }])}`);
  const answer = await session.until((packet) => packet.startsWith("430"));
  const { ok, self } = JSON.parse(answer.slice(3))[0];
  assert.equal(ok, true);
  return self.id;
}

for (const [way, open] of Object.entries(WAYS)) {
  test(`a client over ${way} can leave the namespace and rejoin, and receives nothing in between`, async (t) => {
    const node = await startNode(t);
    const witness = await SocketPeer.connect(t, node.url, "websocket", "witness");
    const { room } = await witness.request("room:create");
    await witness.join(room.id);
    const session = await open(t, node.url);
    await connect(session);
    const ids = new Set();
    for (let round = 0; round < 3; round++) {
      const id = await join(session, room.id);
      await witness.event("member:joined", ({ member }) => member.id === id);
      await witness.request("message", { data: `to ${round}` });
      await session.until((packet) => packet.includes(`to ${round}`));
      await session.send("41");
      const left = await witness.event("member:left", (left) => left.id === id);
      assert.equal(left.reason, "disconnected");
      await witness.request("message", { data: "to nobody" });
      ids.add(id);
      const answer = await connect(session);
      assert.match(answer, /^40\{"sid":/);
      assert.ok(!answer.includes("to nobody"));
    }
    assert.equal(ids.size, 3);
    await join(session, room.id);
    await witness.request("message", { data: "the last" });
    const heard = [];
    await session.until((packet) => heard.push(packet) && packet.includes("the last"));
    assert.ok(!heard.some((packet) => packet.includes("to nobody")), heard.join());
  });
}

test("a WebSocket without a namespace is closed after connect_timeout_ms", async (t) => {
  const node = await startNode(t, { WEIR_SOCKETIO__CONNECT_TIMEOUT_MS: "500" });
  const session = await WAYS.websocket(t, node.url);
  await connect(session);
  await session.send("41");
  await within("it is closed", session.socket.closed);
  // A client that reconnects in time stays connected, however often.
  const other = await WAYS.websocket(t, node.url);
  for (let round = 0; round < 3; round++) {
    await connect(other);
    await other.send("41");
  }
  await connect(other);
  await other.send('421["room:create"]');
  await other.until((packet) => packet.startsWith("431"));
});

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  test(`an unknown namespace does not affect others on its connection (${transports})`, async (t) => {
    const node = await startNode(t);
    const manager = new Manager(node.url, { transports, reconnection: false });
    atEnd(t, () => manager._close());
    const main = manager.socket("/");
    const other = manager.socket("/other");
    const refused = new Promise((resolve) => other.once("connect_error", resolve));
    await within("it connects", new Promise((resolve) => main.once("connect", resolve)));
    assert.equal((await within("it is refused", refused)).message, "Invalid namespace");
    const { ok } = await within("it is answered", main.emitWithAck("room:create", {}));
    assert.equal(ok, true);
    main.disconnect();
    main.connect();
    await within("it connects again", new Promise((resolve) => main.once("connect", resolve)));
    assert.equal((await within("it is answered", main.emitWithAck("room:create", {}))).ok, true);
  });
}
