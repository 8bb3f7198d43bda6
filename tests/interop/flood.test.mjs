// Messages far over every limit, from many clients at once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { test } from "node:test";
import { setInterval as every } from "node:timers/promises";
import { atEnd } from "../lib/harness/at-end.mjs";
import { assertChunks, chunk } from "../lib/media/chunk.mjs";
import { within } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { RawWebSocket } from "../lib/raw/websocket.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const MIB = 1024 * 1024;

const CLIENTS = 50;

/** Fewer, since a node must buffer a request of unknown length up to its limit of 4 MiB. */
const POLLING_CLIENTS = 10;

/** Size of the message that each attacker tries to send. */
const MESSAGE = 64 * MIB;

/** Maximum growth of the node's memory. */
const GROWTH = 64 * MIB;

/** Send interval of the bystanders' media. */
const PACE_MS = 20;

const DEADLINE_MS = 60_000;

for (const [shape, frames] of [
  ["one frame", 1],
  ["frames of 1 MiB, each of them allowed", 64],
]) {
  test(`${CLIENTS} WebSocket messages of 64 MiB in ${shape} close only their own connections`, async (t) => {
    const node = await startNode(t);
    await whileOthersGoOn(t, node, async () => {
      const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawWebSocket.connect(node.url)));
      atEnd(t, () => clients.forEach((client) => client.destroy()));
      await Promise.all(clients.map((client) => client.send("40")));
      const closed = clients.map(async (client) => {
        await client.flood(MESSAGE, frames);
        await client.closed;
      });
      await within("the node closes them all", Promise.all(closed), DEADLINE_MS);
    });
  });
}

for (const [shape, length] of [
  ["says its length", { "content-length": MESSAGE }],
  ["does not say its length", {}],
]) {
  test(`${POLLING_CLIENTS} polling requests of 64 MiB whose body ${shape} are refused`, async (t) => {
    const node = await startNode(t);
    await whileOthersGoOn(t, node, async () => {
      const refused = Array.from({ length: POLLING_CLIENTS }, () => refusedPost(node.url, length));
      await within("the node refuses them all", Promise.all(refused), DEADLINE_MS);
    });
  });
}

/** Asserts that `attack` does not affect two bystanders and costs little memory. */
async function whileOthersGoOn(t, node, attack) {
  const publisher = await SocketPeer.connect(t, node.url, "websocket", "publisher");
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id);
  const bystanders = await Promise.all(
    ["websocket", "polling"].map((way) => SocketPeer.connect(t, node.url, way)),
  );
  await Promise.all(bystanders.map((peer) => peer.join(room.id)));
  const { track } = await publisher.request("track:publish", { kind: "video", codec: "vp8" });

  await node.resetPeak();
  const before = await node.memory();
  let over = false;
  const attacked = attack().finally(() => (over = true));
  attacked.catch(() => {});
  let sent = 0;
  for await (const _ of every(PACE_MS)) {
    const { header, payload } = chunk(track.id, ++sent);
    assert.deepEqual(await publisher.request("media", header, payload), { seq: sent });
    if (over) break;
  }
  await attacked;
  const { peak } = await node.memory();
  const growth = peak - before.resident;
  t.diagnostic(`the node grew by ${(growth / MIB).toFixed(1)} MiB`);
  assert.ok(growth < GROWTH, `the node grew by ${growth} bytes`);

  for (const peer of bystanders) {
    await peer.until("has every chunk", () => peer.chunks(track.id).length >= sent);
    assertChunks(peer.label, peer.chunks(track.id), track);
    assert.equal(peer.chunks(track.id).length, sent);
    assert.deepEqual(peer.all("media:gap"), []);
    assert.equal(peer.socket.connected, true);
  }
}

/** Sends a polling request that is too long, and asserts that it is refused. */
async function refusedPost(url, headers) {
  const endpoint = `${url}/socket.io/?EIO=4&transport=polling`;
  const open = await (await fetch(endpoint)).text();
  const { sid } = JSON.parse(open.slice(1));
  const post = request(`${endpoint}&sid=${sid}`, { method: "POST", headers, agent: false });
  const block = Buffer.alloc(MIB, "x");
  // A reset is as good as a response.
  const refused = new Promise((resolve) => {
    post.once("response", (response) => resolve(response.statusCode));
    post.once("close", () => resolve(undefined));
    post.on("error", () => resolve(undefined));
  });
  let done = false;
  refused.then(() => (done = true));
  for (let sent = 0; sent < MESSAGE && !done; sent += MIB) {
    if (!post.write(block)) await Promise.race([once(post, "drain").catch(() => {}), refused]);
  }
  if (!done) post.end();
  const status = await refused;
  assert.ok(status === undefined || status >= 400, `answered with ${status}`);
  post.destroy();
}
