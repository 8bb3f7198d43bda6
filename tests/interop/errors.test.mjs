// Refusals, as stock clients receive them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startNode } from "../lib/servers/node.mjs";
import { PythonPeer } from "../lib/peers/python-peer.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const WAYS = {
  websocket: (t, url) => SocketPeer.connect(t, url, "websocket"),
  polling: (t, url) => SocketPeer.connect(t, url, "polling"),
  python: (t, url) => PythonPeer.connect(t, url),
};

for (const [way, connect] of Object.entries(WAYS)) {
  test(`${way}: every refusal has a code and a sentence, and the connection stays open`, async (t) => {
    const node = await startNode(t);
    const peer = await connect(t, node.url);

    const refusals = [
      ["bad_request", /no:such:event/, "no:such:event", { any: "thing" }],
      ["bad_request", /room/, "room:join", {}],
      ["bad_request", /room/, "room:join", { room: 7 }],
      ["bad_request", /argument/, "room:join", "a string"],
      ["bad_request", /kind/, "track:publish", { kind: "smell", codec: "vp8" }],
      ["room_not_found", /nowhere/, "room:join", { room: "nowhere" }],
      ["not_joined", /./, "room:leave"],
      ["not_joined", /./, "media", { track: 1, ts: 0 }, Buffer.from("x")],
    ];
    for (const [code, message, event, ...args] of refusals) {
      assertFault(await peer.refusal(event, ...args), code, message);
    }

    const { room } = await peer.request("room:create");
    await peer.join(room.id);
    assertFault(await peer.refusal("room:join", { room: room.id }), "already_joined");
    assertFault(await peer.refusal("room:create", { id: room.id }), "room_exists", new RegExp(room.id));
    assertFault(await peer.refusal("media", { track: 99, ts: 0 }, Buffer.from("x")), "track_not_found", /99/);
  });

  test(`${way}: a failure without an acknowledgement arrives as an error event`, async (t) => {
    const node = await startNode(t);
    const peer = await connect(t, node.url);

    peer.emit("no:such:event", {});
    peer.emit("room:join", { room: "nowhere" });
    peer.emit("media", { track: 1, ts: 0 }, Buffer.from("x"));
    await peer.until("is told three errors", () => peer.all("error").length >= 3);
    const { room } = await peer.request("room:create");
    assert.ok(room.id, "the connection goes on");

    const errors = peer.all("error");
    assert.deepEqual(errors.map(({ event }) => event), ["no:such:event", "room:join", "media"]);
    const codes = ["bad_request", "room_not_found", "not_joined"];
    errors.forEach(({ error }, index) => assertFault(error, codes[index]));
  });
}

test("a granted request without an acknowledgement is silent", async (t) => {
  const node = await startNode(t);
  const peer = await SocketPeer.connect(t, node.url);
  peer.emit("room:create", { id: "quiet" });
  assertFault(await peer.refusal("room:create", { id: "quiet" }), "room_exists", /quiet/);
  assert.deepEqual(peer.told, []);
});

test("requests over the rate limit are refused, media is not counted, nobody is closed", async (t) => {
  const node = await startNode(t);
  const peer = await SocketPeer.connect(t, node.url);
  const { room } = await peer.request("room:create");
  await peer.join(room.id);
  const { track } = await peer.request("track:publish", { kind: "data", codec: "text/plain" });

  const message = () => peer.ask("message", { data: "hello" });
  const acks = await Promise.all(Array.from({ length: 100 }, message));
  const refused = acks.filter(({ ok }) => !ok);
  // A burst of 40, three of which are used, refilled with 20 per second.
  assert.ok(refused.length > 20 && refused.length <= 63, `${refused.length} of 100 are refused`);
  for (const { error } of refused) assertFault(error, "rate_limited");
  assert.deepEqual(await peer.request("media", { track: track.id, ts: 0 }, Buffer.from("x")), { seq: 1 });
});

test("a payload of 1 MiB passes on each transport, one byte more is too large", async (t) => {
  const node = await startNode(t);
  const subscriber = await SocketPeer.connect(t, node.url, "websocket", "subscriber");
  const { room } = await subscriber.request("room:create");
  await subscriber.join(room.id);
  for (const way of ["websocket", "polling"]) {
    const peer = await SocketPeer.connect(t, node.url, way);
    await peer.join(room.id);
    const { track } = await peer.request("track:publish", { kind: "data", codec: "text/plain" });
    const header = { track: track.id, ts: 0 };
    const payload = Buffer.alloc(1024 * 1024, way);
    assert.deepEqual(await peer.request("media", header, payload), { seq: 1 });
    const more = Buffer.alloc(payload.length + 1);
    assertFault(await peer.refusal("media", header, more), "too_large", /1048576/);
    const received = await subscriber.until("has the chunk", () => subscriber.chunks(track.id)[0]);
    assert.ok(received.payload.equals(payload));
  }
});

function assertFault(error, code, message = /./) {
  assert.equal(error.code, code, JSON.stringify(error));
  assert.equal(error.retryable, code === "rate_limited", JSON.stringify(error));
  assert.match(error.message, message);
}
