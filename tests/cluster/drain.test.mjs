import assert from "node:assert/strict";
import { test } from "node:test";
import { isReady, startMember } from "../lib/servers/cluster.mjs";
import { metrics } from "../lib/servers/metrics.mjs";
import { eventually, within } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { startRedis } from "../lib/servers/redis.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const DRAIN = { WEIR_DRAIN__PAUSE_MS: "1000", WEIR_DRAIN__WINDOW_MS: "3000", WEIR_DRAIN__DEADLINE_MS: "30000" };

async function readiness(node) {
  return (await fetch(`${node.opsUrl}/readyz`)).json();
}

test("a draining node refuses clients and spreads reconnections evenly, viewers first", async (t) => {
  const node = await startNode(t, DRAIN);
  const peers = [];
  for (let index = 0; index < 6; index++) {
    peers.push(await SocketPeer.connect(t, node.url, index % 2 ? "polling" : "websocket", `peer ${index}`));
  }
  const [publisher, ...viewers] = peers;
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id);
  const { track } = await publisher.request("track:publish", { kind: "data", codec: "text" });
  for (const viewer of viewers.slice(1)) await viewer.join(room.id);
  const outside = viewers[0];

  node.signal("SIGTERM");
  await eventually("the node is not ready", async () => !(await isReady(node)));
  assert.deepEqual(await readiness(node), { ready: false, reasons: ["draining"] });
  assert.equal((await fetch(`${node.opsUrl}/livez`)).status, 200);
  const late = await SocketPeer.connect(t, node.url, "websocket", "late");
  await late.join(room.id);
  assert.deepEqual(late.all("node:draining"), [], "until the pause is over all is as before");

  const clients = [...peers, late];
  const times = await Promise.all(
    clients.map(async (peer) => (await peer.event("node:draining")).reconnectInMs),
  );
  const inOrder = times.toSorted((one, other) => one - other);
  const apart = 3_000 / clients.length;
  inOrder.forEach((time, turn) => assert.ok(Math.abs(time - turn * apart) <= 1, `${inOrder}`));
  assert.equal(times[0], inOrder.at(-1), "who publishes goes last");

  const refused = await outside.refusal("room:join", { room: room.id });
  assert.deepEqual([refused.code, refused.retryable], ["draining", true]);
  for (const transport of ["polling", "websocket"]) {
    const answer = await fetch(`${node.url}/socket.io/?EIO=4&transport=${transport}`);
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /draining/);
  }
  // Media continues meanwhile.
  publisher.emit("media", { track: track.id, ts: 0 }, Buffer.from("still here"));
  await late.until("gets the chunk", () => late.chunks(track.id).length === 1);

  const gone = peers.map((peer) => new Promise((resolve) => peer.socket.once("disconnect", resolve)));
  for (const peer of clients) peer.socket.close();
  await within("all have gone", Promise.all(gone));
  assert.deepEqual(await within("the node ends, since nobody is left", node.exit), { code: 0, signal: null });
});

test("clients that stay until the deadline are disconnected so that stock clients reconnect", async (t) => {
  const node = await startNode(t, { ...DRAIN, WEIR_DRAIN__PAUSE_MS: "0", WEIR_DRAIN__WINDOW_MS: "0", WEIR_DRAIN__DEADLINE_MS: "500" });
  const websocket = await SocketPeer.connect(t, node.url, "websocket");
  const polling = await SocketPeer.connect(t, node.url, "polling");
  const reasons = [websocket, polling].map((peer) => new Promise((resolve) => peer.socket.once("disconnect", resolve)));
  node.signal("SIGTERM");
  assert.deepEqual(await within("the node ends", node.exit), { code: 0, signal: null }, node.logs);
  // The client reconnects after these two reasons, unless configured otherwise.
  const [first, second] = await Promise.all(reasons);
  assert.match(first, /^transport (close|error)$/);
  assert.match(second, /^(io server disconnect|transport (close|error))$/);
});

test("members that stay until the deadline leave once, and the lease ends", async (t) => {
  const redis = await startRedis(t);
  const leaving = await startMember(t, redis.url, { ...DRAIN, WEIR_DRAIN__PAUSE_MS: "0", WEIR_DRAIN__DEADLINE_MS: "3000" });
  const staying = await startMember(t, redis.url);
  const watcher = await SocketPeer.connect(t, staying.url, "websocket", "watcher");
  const { room } = await watcher.request("room:create");
  await watcher.join(room.id);
  const members = [];
  for (let index = 0; index < 10; index++) {
    members.push(await SocketPeer.connect(t, leaving.url, "websocket", `member ${index}`));
    await members.at(-1).join(room.id);
  }
  assert.equal(await redis.cli("zcard", "weir:{.nodes}:alive"), "2");
  leaving.signal("SIGTERM");
  assert.deepEqual(await within("the node ends", leaving.exit), { code: 0, signal: null }, leaving.logs);
  await watcher.until("all have left", () => watcher.all("member:left").length === members.length);
  const left = watcher.all("member:left");
  assert.deepEqual(new Set(left.map(({ id }) => id)), new Set(members.map(({ id }) => id)));
  assert.deepEqual(new Set(left.map(({ reason }) => reason)), new Set(["disconnected"]));
  assert.equal(await redis.cli("zcard", "weir:{.nodes}:alive"), "1", "its lease is given back");
  assert.equal((await metrics(staying)).weir_members, 1);
});
