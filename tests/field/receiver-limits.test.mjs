// What a node relays or combines stays within the limits of every stock client.
// Reports: socketio/socket.io#5489 and socketio/socket.io#5504 (a client closes at more than 10 attachments).
import assert from "node:assert/strict";
import { test } from "node:test";
import { startNode } from "../lib/node.mjs";
import { PythonPeer } from "../lib/python-peer.mjs";
import { SocketPeer } from "../lib/socket-peer.mjs";

/** A node on which one client may do much at once. */
const UNHURRIED = { WEIR_LIMITS__REQUEST_BURST: "100000", WEIR_LIMITS__REQUESTS_PER_SECOND: "100000" };

/** A room with a sender and, over each transport, somebody who listens. */
async function audience(t) {
  const node = await startNode(t, UNHURRIED);
  const sender = await SocketPeer.connect(t, node.url, "websocket", "sender");
  const { room } = await sender.request("room:create");
  await sender.join(room.id);
  const others = await Promise.all([
    SocketPeer.connect(t, node.url, "websocket"),
    SocketPeer.connect(t, node.url, "polling"),
    PythonPeer.connect(t, node.url),
  ]);
  await Promise.all(others.map((peer) => peer.join(room.id)));
  return { node, room, sender, others };
}

const bytes = (count) => Array.from({ length: count }, (_, at) => Buffer.from([at]));

test("a message with 11 binary values is refused, and nobody is disconnected", async (t) => {
  const { sender, others } = await audience(t);
  const { code, message } = await sender.refusal("message", { data: bytes(11) });
  assert.equal(code, "too_large");
  assert.equal(message, "data: 11 attachments are over the limit of 10 attachments");
  await sender.request("message", { data: bytes(10) });
  for (const peer of others) {
    const { data } = await peer.event("message");
    assert.deepEqual(data, bytes(10), peer.label);
    assert.equal(peer.all("message").length, 1, peer.label);
    await peer.request("member:update", { name: "still here" });
  }
});

test("a room with 11 tracks that have init is joined by every client, and each gets the bytes", async (t) => {
  const { node, room, sender, others } = await audience(t);
  const inits = bytes(11).map((each) => each.toString("base64"));
  for (const init of inits) {
    const { track } = await sender.request("track:publish", { kind: "data", codec: "x", init });
    assert.equal(track.init, init);
  }
  for (const peer of others) {
    await peer.until("sees every track", () => peer.all("track:published").length === 11);
    assert.deepEqual(peer.all("track:published").map(({ track }) => track.init), inits, peer.label);
  }
  const late = await Promise.all([
    ...["websocket", "polling", "upgrade"].map((way) => SocketPeer.connect(t, node.url, way)),
    PythonPeer.connect(t, node.url, ["websocket"]),
    PythonPeer.connect(t, node.url, ["polling"]),
  ]);
  for (const peer of late) {
    const { tracks } = await peer.join(room.id);
    assert.deepEqual(tracks.map(({ init }) => init), inits, peer.label);
  }
  const { code, message } = await sender.refusal("track:publish", { kind: "data", codec: "x", init: Buffer.of(1) });
  assert.equal(code, "bad_request");
  assert.match(message, /^init: must be base64 text, not binary/);
});
