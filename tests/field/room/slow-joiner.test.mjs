// A client on a slow network receives a large room, and every event in it meanwhile.
//
// From socketio/socket.io#2666.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openGate } from "../../lib/network/gate.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/**
 * Few members with much metadata, whose answer is as large as that of many members: just under
 * limits.room_state_bytes.
 */
const MEMBERS = 15;
const METADATA_BYTES = 250 * 1024;
const ENV = { WEIR_LIMITS__METADATA_BYTES: String(2 * METADATA_BYTES), WEIR_LIMITS__REQUEST_BURST: "1000" };

/** Bandwidth of the joiner: the transfer time of its answer is under test. */
const BYTES_PER_SECOND = 1_000_000;
const ANSWER_MS = (MEMBERS * METADATA_BYTES * 1_000) / BYTES_PER_SECOND;

/** Fewer than the queue holds beside the answer. */
const MESSAGES = 100;
const MESSAGE_BYTES = 10_000;

for (const way of ["websocket", "polling", "upgrade"]) {
  test(`a joiner at 8 Mbit/s over ${way} receives a room of 4 MB and all later events`, async (t) => {
    const node = await startNode(t, ENV);
    const members = await Promise.all(
      Array.from({ length: MEMBERS }, (_, n) => SocketPeer.connect(t, node.url, "websocket", `member ${n}`)),
    );
    const { room } = await members[0].request("room:create");
    const metadata = { text: "x".repeat(METADATA_BYTES) };
    for (const member of members) await member.join(room.id, { metadata });

    const gate = await openGate(t, node.url);
    gate.throttleDown(BYTES_PER_SECOND);
    const joiner = await SocketPeer.connect(t, gate.url, way, "joiner");
    const begun = Date.now();
    const joined = joiner.join(room.id).then(() => Date.now() - begun);
    await members[0].event("member:joined", ({ member }) => member.name === "joiner");
    const data = (n) => ({ n, text: "y".repeat(MESSAGE_BYTES) });
    const numbers = Array.from({ length: MESSAGES }, (_, n) => n);
    await Promise.all(numbers.map((n) => members[0].request("message", { data: data(n) })));

    const took = await joined;
    assert.ok(took > 0.7 * ANSWER_MS, `the answer took ${took} ms only`);
    assert.equal(joiner.joined.members.length, MEMBERS + 1);
    assert.ok(joiner.joined.members.every(({ name, metadata }) => name === "joiner" || metadata.text.length === METADATA_BYTES));
    await joiner.until("has all messages", () => joiner.all("message").length >= MESSAGES);
    assert.deepEqual(joiner.all("message").map((message) => message.data.n), numbers);
    assert.ok(joiner.socket.connected);
    assert.deepEqual(members[0].all("member:left"), []);
  });
}
