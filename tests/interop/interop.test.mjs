// Clients of two languages and three transports in one room.
import assert from "node:assert/strict";
import { test } from "node:test";
import { exchange, leave } from "../lib/peers/exchange.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { PythonPeer } from "../lib/peers/python-peer.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

test("socket.io-client on each transport and python-socketio share one room", async (t) => {
  const node = await startNode(t);
  const peers = await Promise.all([
    SocketPeer.connect(t, node.url, "websocket"),
    SocketPeer.connect(t, node.url, "polling"),
    SocketPeer.connect(t, node.url, "upgrade"),
    PythonPeer.connect(t, node.url),
  ]);
  const transports = await Promise.all(peers.map((peer) => peer.transport));
  assert.deepEqual(transports, ["websocket", "polling", "websocket", "websocket"]);
  await exchange(peers);
  await leave(t, node.url, peers);
});

test("python-socketio on each transport alone shares a room with socket.io-client", async (t) => {
  const node = await startNode(t);
  const peers = await Promise.all([
    PythonPeer.connect(t, node.url, ["websocket"], "python websocket"),
    PythonPeer.connect(t, node.url, ["polling"], "python polling"),
    SocketPeer.connect(t, node.url, "upgrade"),
  ]);
  const transports = await Promise.all(peers.map((peer) => peer.transport));
  assert.deepEqual(transports, ["websocket", "polling", "websocket"]);
  await exchange(peers);
  await leave(t, node.url, peers);
});
