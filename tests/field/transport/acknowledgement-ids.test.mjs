// Acknowledgement ids that not every client can represent are refused with an answer, on each transport.
// Source: `read_ack` of socketioxide-parser-common 0.17.3, `src/de.rs`, parses an id over 64 bits as no id,
// so the request is executed and its client waits forever. Report of other effects of such ids:
// shadiiiioa/shadiaosocketio#4.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startNode } from "../../lib/servers/node.mjs";
import { RawClient } from "../../lib/raw/engine-client.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

const MAX = 2 ** 53 - 1;
const TOO_LARGE = [`${MAX + 1}`, "9223372036854775807", "9223372036854775808", "12345678901234567890", "1".repeat(400)];

for (const transport of ["websocket", "polling"]) {
  test(`${transport}: ids up to 2^53 - 1 are acknowledged, larger ones refused, without closing`, async (t) => {
    const node = await startNode(t, { WEIR_LIMITS__REQUEST_BURST: "1000" });
    const client = await RawClient.connect(t, node.url, transport);
    for (const id of ["0", "7", `${MAX}`]) {
      client.send(`2${id}["room:create"]`);
      assert.match(await client.receive(), new RegExp(`^3${id}\\[\\{"ok":true,"room":`));
      client.send(`51-${id}["media",{"track":1,"ts":0},{"_placeholder":true,"num":0}]`, Buffer.of(1));
      assert.match(await client.receive(), new RegExp(`^3${id}\\[\\{"ok":false,"error":\\{"code":"not_joined"`));
    }
    for (const id of TOO_LARGE) {
      const error = { code: "bad_request", message: `packet: its acknowledgement id is over ${MAX}`, retryable: false };
      client.send(`2${id}["room:join",{"room":"a","create":true}]`);
      assert.deepEqual(event(await client.receive()), ["error", { event: "room:join", error }], id);
      client.send(`51-${id}["media",{"track":1,"ts":0},{"_placeholder":true,"num":0}]`, Buffer.of(1));
      assert.deepEqual(event(await client.receive()), ["error", { event: "media", error }], id);
    }
    client.send('21["room:join",{"room":"a"}]');
    assert.match(await client.receive(), /"code":"room_not_found"/, "what was refused was not carried out");
  });
}

test("socket.io-client with a high acknowledgement count is answered", async (t) => {
  const node = await startNode(t);
  for (const way of ["websocket", "polling"]) {
    const peer = await SocketPeer.connect(t, node.url, way);
    peer.socket.ids = MAX;
    await peer.request("room:create");
  }
});

function event(packet) {
  assert.equal(packet[0], "2", packet);
  return JSON.parse(packet.slice(1));
}
