// Leaving members, ending rooms and stopping nodes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, within } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { PythonPeer } from "../lib/peers/python-peer.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

/** Maximum delay of a notice about a closed connection on a busy machine. */
const AT_ONCE_MS = 5_000;

const WAYS_TO_GO = {
  "asks to leave": [SocketPeer, (peer) => peer.request("room:leave"), "left"],
  "closes its socket": [SocketPeer, (peer) => peer.close(), "disconnected"],
  "has its connection reset": [SocketPeer, (peer) => peer.vanish({ reset: true }), "disconnected"],
  "has its connection cut": [SocketPeer, (peer) => peer.vanish(), "disconnected"],
  "is killed": [PythonPeer, (peer) => peer.kill(), "disconnected"],
};

for (const [how, [Kind, go, reason]] of Object.entries(WAYS_TO_GO)) {
  test(`a member that ${how} leaves at once with its tracks, as ${reason}`, async (t) => {
    const node = await startNode(t);
    const { stays, goes, room } = await pair(t, node, Kind);
    const { track } = await goes.request("track:publish", { kind: "data", codec: "text/plain" });
    await stays.event("track:published");
    await go(goes);
    const left = await stays.until("is told member:left", () => stays.all("member:left")[0], AT_ONCE_MS);
    assert.deepEqual(left, { id: goes.id, reason, version: left.version });

    const error = await stays.refusal("track:subscribe", { track: track.id });
    assert.equal(error.code, "track_not_found");
    const fresh = await SocketPeer.connect(t, node.url);
    await fresh.join(room);
    assert.deepEqual(fresh.joined.tracks, []);
    assert.deepEqual(fresh.joined.members.map(({ id }) => id).sort(), [stays.id, fresh.id].sort());
    assert.equal(stays.all("member:left").length, 1);
  });
}

for (const transport of ["websocket", "polling"]) {
  test(`a member frozen on ${transport} leaves when it answers no ping`, async (t) => {
    const ping = { WEIR_SOCKETIO__PING_INTERVAL_MS: "500", WEIR_SOCKETIO__PING_TIMEOUT_MS: "2000" };
    const node = await startNode(t, ping);
    const connectFrozen = { connect: (_, url) => PythonPeer.connect(t, url, [transport]) };
    const { stays, goes } = await pair(t, node, connectFrozen);
    goes.freeze();
    const left = await stays.event("member:left");
    assert.deepEqual(left, { id: goes.id, reason: "disconnected", version: left.version });
    assert.equal(stays.socket.connected, true);
  });
}

test("an empty room is kept for its time to live", async (t) => {
  const node = await startNode(t, { WEIR_ROOMS__EMPTY_TTL_MS: "1000" });
  const peer = await SocketPeer.connect(t, node.url);
  await peer.request("room:create", { id: "short-lived" });
  await peer.join("short-lived");
  await peer.request("room:leave");
  await peer.join("short-lived");
  await peer.request("room:leave");
  // Creating fails while the room exists, and does not prolong its life.
  const again = await eventually("the id is free", async () => {
    const { ok, error } = await peer.ask("room:create", { id: "short-lived" });
    return ok || (error.code !== "room_exists" && error.code !== "rate_limited" && error);
  });
  assert.equal(again, true);
});

test("a former member receives nothing more and can join again as another member", async (t) => {
  const node = await startNode(t);
  const { stays, goes, room } = await pair(t, node, SocketPeer);
  const before = goes.id;
  await goes.request("room:leave");
  const told = goes.told.length;
  const { track } = await stays.request("track:publish", { kind: "data", codec: "text/plain" });
  await stays.request("media", { track: track.id, ts: 0 }, Buffer.from("x"));
  await stays.request("message", { data: "anybody?" });
  assert.equal((await goes.refusal("message", { data: "still here?" })).code, "not_joined");
  assert.equal(goes.told.length, told);

  await goes.join(room);
  assert.notEqual(goes.id, before);
  assert.deepEqual(goes.joined.tracks, [track]);
  assert.equal((await stays.event("member:joined", ({ member }) => member.id === goes.id)).version, goes.joined.version);
});

test("SIGTERM ends a node with members and closes their connections", async (t) => {
  const node = await startNode(t);
  const peers = [
    await SocketPeer.connect(t, node.url, "websocket"),
    await SocketPeer.connect(t, node.url, "polling"),
  ];
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  const gone = peers.map((peer) => new Promise((resolve) => peer.socket.once("disconnect", resolve)));
  node.signal("SIGTERM");
  assert.deepEqual(await within("the node ends", node.exit), { code: 0, signal: null }, node.logs);
  await within("both are disconnected", Promise.all(gone));
});

test("SIGINT ends a node with members and closes their connections", async (t) => {
  const node = await startNode(t);
  const peer = await SocketPeer.connect(t, node.url);
  await peer.request("room:create");
  node.signal("SIGINT");
  assert.deepEqual(await within("the node ends", node.exit), { code: 0, signal: null }, node.logs);
});

/** Joins two members to one room and waits until they know each other. */
async function pair(t, node, Kind) {
  const stays = await SocketPeer.connect(t, node.url, "websocket", "stays");
  const goes = await Kind.connect(t, node.url);
  const { room } = await stays.request("room:create");
  await stays.join(room.id);
  await goes.join(room.id);
  await stays.event("member:joined");
  return { stays, goes, room: room.id };
}
