// A call continues after its room is gone: `room:join` with `create` recreates the room atomically.
// Reports: livekit/livekit#41 and socketio/socket.io#3382 (no client is back in the room after a restart).
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCluster } from "../../lib/servers/cluster.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** Joins once per node, concurrently and with `create`; returns the answers. */
async function joinAtOnce(t, nodes, room) {
  const peers = await Promise.all(nodes.map((node) => SocketPeer.connect(t, node.url)));
  const joined = await Promise.all(peers.map((peer) => peer.join(room, { create: true })));
  assert.deepEqual(joined.map(({ version }) => version).sort((a, b) => a - b), nodes.map((_, at) => at + 1));
  for (const { room: record } of joined) assert.deepEqual(record, joined[0].room, "all are in one room");
  return joined[0].room;
}

test("members recreate their room after a node without Redis restarts", async (t) => {
  const first = await startNode(t);
  const before = await SocketPeer.connect(t, first.url);
  const { room } = await before.request("room:create", { maxMembers: 7 });
  await before.join(room.id);
  await first.kill();
  const { host } = new URL(first.url);
  const again = await startNode(t, {}, { listen: host, opsListen: "127.0.0.1:0" });

  const lost = await SocketPeer.connect(t, again.url);
  assert.equal((await lost.refusal("room:join", { room: room.id })).code, "room_not_found");
  assert.equal((await lost.refusal("room:join", { room: room.id, create: false })).code, "room_not_found");
  const record = await joinAtOnce(t, Array(12).fill(again), room.id);
  assert.deepEqual([record.id, record.metadata, record.maxMembers], [room.id, {}, 1_000]);
});

test("exactly one of many simultaneous joins on several nodes creates the room", async (t) => {
  const { nodes } = await startCluster(t, 2);
  await joinAtOnce(t, [...nodes, ...nodes, ...nodes, ...nodes], "lobby");
});

test("a request's `create` overrides the configuration", async (t) => {
  const node = await startNode(t, { WEIR_ROOMS__CREATE_ON_JOIN: "true" });
  const peer = await SocketPeer.connect(t, node.url);
  assert.equal((await peer.refusal("room:join", { room: "a", create: false })).code, "room_not_found");
  await peer.join("a");
});
