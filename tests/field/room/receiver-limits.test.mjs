// Packets that a node relays or combines stay within the limits of every stock client.
// The limits are those of docs/protocol.md, "Receiver limits", with the source file of each.
// Reports: socketio/socket.io#5489 and socketio/socket.io#5504 (a client closes at more than 10 attachments),
// miguelgrinberg/python-engineio#142 (python-engineio accepts 16 packets per poll).
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../../clients/sdk/dist/index.js";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { EngineSession } from "../../lib/raw/engine-session.mjs";
import { JavaPeer } from "../../lib/peers/java-peer.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { PythonPeer } from "../../lib/peers/python-peer.mjs";
import { RawClient } from "../../lib/raw/engine-client.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** Node settings without a request rate limit. */
const UNHURRIED = { WEIR_LIMITS__REQUEST_BURST: "100000", WEIR_LIMITS__REQUESTS_PER_SECOND: "100000" };

/** Creates a room with a sender and one listener per transport. */
async function audience(t) {
  const node = await startNode(t, UNHURRIED);
  const sender = await SocketPeer.connect(t, node.url, "websocket", "sender");
  const { room } = await sender.request("room:create");
  await sender.join(room.id);
  const others = await Promise.all([
    SocketPeer.connect(t, node.url, "websocket"),
    SocketPeer.connect(t, node.url, "polling"),
    PythonPeer.connect(t, node.url),
    JavaPeer.connect(t, node.url),
  ]);
  await Promise.all(others.map((peer) => peer.join(room.id)));
  return { node, room, sender, others };
}

const bytes = (count) => Array.from({ length: count }, (_, at) => Buffer.from([at]));

test("a message with 11 binary values is refused without disconnecting anybody", async (t) => {
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

test("every client joins a room with 11 tracks with init and receives the bytes", async (t) => {
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
    JavaPeer.connect(t, node.url, ["websocket"]),
    JavaPeer.connect(t, node.url, ["polling"]),
  ]);
  for (const peer of late) {
    const { tracks } = await peer.join(room.id);
    assert.deepEqual(tracks.map(({ init }) => init), inits, peer.label);
  }
  const viaSdk = await connect(node.url);
  atEnd(t, () => viaSdk.close());
  await viaSdk.join(room.id);
  assert.equal(viaSdk.tracks.size, 11, "the SDK");
  await viaSdk.publishChunks({ kind: "data", codec: "x", init: Buffer.from(inits[3], "base64") });
  const { track } = await sender.event("track:published", ({ track }) => track.member === viaSdk.self.id);
  assert.equal(track.init, inits[3]);
  const { code, message } = await sender.refusal("track:publish", { kind: "data", codec: "x", init: Buffer.of(1) });
  assert.equal(code, "bad_request");
  assert.match(message, /^init: must be base64 text, not binary/);
});

test("JSON that some client cannot parse is refused, and other JSON arrives", async (t) => {
  const { node, room, sender, others } = await audience(t);
  const raw = await RawClient.connect(t, node.url, "websocket");
  let id = 0;
  const ask = async (event, argument) => {
    raw.send(`2${(id += 1)}["${event}",${argument}]`);
    for (;;) {
      const packet = await raw.receive();
      if (packet.startsWith(`3${id}[`)) return JSON.parse(packet.slice(`3${id}`.length))[0];
    }
  };
  await ask("room:join", `{"room":"${room.id}"}`);
  const unreadable = {
    "a key twice": '{"a":1,"\\u0061":2}',
    "a number beyond a double": "[1e400]",
    "an integer of 5,000 digits": `[${"9".repeat(5_000)}]`,
    "half a character": '"\\ud800"',
    "51 levels": `${"[".repeat(51)}${"]".repeat(51)}`,
    "a placeholder without an attachment": '{"_placeholder":true,"num":0}',
  };
  for (const [what, json] of Object.entries(unreadable)) {
    for (const [event, argument] of [
      ["member:update", `{"metadata":${json}}`],
      ["message", `{"data":${json}}`],
    ]) {
      assert.equal((await ask(event, argument)).error?.code, "bad_request", `${what} in ${event}`);
    }
  }
  const readable = [
    '{"__proto__":{"a":1},"constructor":null,"":0}',
    '"\\u0000\\u001e\\u2028"',
    `${"[".repeat(50)}${"]".repeat(50)}`,
    "[9007199254740991,-0.5e-300,1e300]",
    '\n{ "a" :\t[ ] }\r\n',
  ];
  for (const json of readable) assert.equal((await ask("message", `{"data":${json}}`)).ok, true, json);
  assert.equal((await ask("member:update", `{"metadata":[${readable.filter((_, at) => at !== 2).join(",")}]}`)).ok, true);
  for (const peer of [sender, ...others]) {
    await peer.event("member:updated");
    const heard = peer.all("message").map(({ data }) => JSON.stringify(data));
    assert.equal(heard.length, readable.length, peer.label);
    assert.equal(heard[2], readable[2], peer.label);
  }
  for (const Late of [SocketPeer, PythonPeer, JavaPeer]) {
    const late = await Late.connect(t, node.url);
    await late.join(room.id);
  }
});

test("a poll response has at most 16 packets", async (t) => {
  const { node, room, sender } = await audience(t);
  const session = await EngineSession.open(node.url);
  await session.connect();
  await session.ask(1, "room:join", { room: room.id });
  for (let n = 0; n < 40; n++) await sender.request("message", { data: bytes(n % 11) });
  await sender.request("message", { topic: "last", data: null });
  for (let last = false; !last; ) {
    const packets = await session.poll();
    assert.ok(packets.length <= 16, `${packets.length} packets`);
    last = packets.some((packet) => packet.includes('"topic":"last"'));
    if (packets.includes("2")) await session.send("3");
  }
});
