// A node's log: its own life at info, each session's at debug, with ids that follow one user. From
// socketio/socket.io#3337 and http-party/node-http-proxy#271 (a connection without its client's address).
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { io } from "socket.io-client";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startMember } from "../../lib/servers/cluster.mjs";
import { metrics } from "../../lib/servers/metrics.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { startRedis } from "../../lib/servers/redis.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

const DEBUG = { WEIR_LOG__FILTER: "info,weir_gateway=debug,weir_engine=debug" };

const lines = (node) => node.logs.split("\n").map((line) => JSON.parse(line));

const sessions = (node) => lines(node).filter(({ level }) => level === "DEBUG");

/** Removes the fields of a log line that differ in each run. */
const plain = ({ timestamp, target, trace_id, span_id, ...line }) => line;

for (const way of ["websocket", "polling"]) {
  test(`a session over ${way} logs one line for each step of its life`, async (t) => {
    const node = await startNode(t, DEBUG);
    const ann = await SocketPeer.connect(t, node.url, way, "ann");
    const { room } = await ann.request("room:create");
    await ann.join(room.id);
    const { track } = await ann.request("track:publish", { kind: "data", codec: "x" });
    for (let ts = 0; ts < 50; ts++) ann.emit("media", { track: track.id, ts, key: true }, Buffer.alloc(100));
    await ann.request("message", { data: "hello" });
    await ann.request("track:unpublish", { track: track.id });
    await ann.request("track:publish", { kind: "audio", codec: "opus" });
    // The client knows its session by the same id.
    const session = ann.socket.id;
    ann.close();
    await eventually("it has left", () => sessions(node).some(({ message }) => message === "member left"));
    const by = { level: "DEBUG", session, address: "127.0.0.1" };
    const at = { ...by, member: ann.id, room: room.id };
    assert.deepEqual(sessions(node).map(plain), [
      { ...by, message: "session started", transport: way },
      { ...at, message: "member joined" },
      { ...at, message: "track published", track: "1" },
      { ...at, message: "track unpublished", track: "1" },
      { ...at, message: "track published", track: "2" },
      { ...at, message: "session ended", reason: "client has manually disconnected the socket from the namespace" },
      { ...at, message: "member left", reason: "disconnected" },
    ]);
  });
}

test("logs distinguish leaving from vanishing", async (t) => {
  const node = await startNode(t, DEBUG);
  const ann = await SocketPeer.connect(t, node.url, "websocket", "ann");
  const bob = await SocketPeer.connect(t, node.url, "websocket", "bob");
  const { room } = await ann.request("room:create");
  const members = [];
  for (const peer of [ann, bob]) members.push((await peer.join(room.id)).self.id);
  await ann.request("room:leave");
  bob.vanish();
  const of = (id) => sessions(node).filter(({ member }) => member === id).map(({ message, reason }) => [message, reason]);
  await eventually("bob has left", () => of(members[1]).length === 3);
  assert.deepEqual(of(members[0]).slice(1), [["member left", "left"]]);
  const [, ended, left] = of(members[1]);
  assert.equal(ended[0], "session ended");
  assert.match(ended[1], /closed/);
  assert.deepEqual(left, ["member left", "disconnected"]);
});

test("logs give the reason of refusals and disconnections", async (t) => {
  const node = await startNode(t, {
    ...DEBUG,
    WEIR_LIMITS__MESSAGE_BYTES: "1000",
    WEIR_LIMITS__WEBSOCKET_MESSAGE_BYTES: "2000000",
    WEIR_LIMITS__REQUESTS_PER_SECOND: "100000",
    WEIR_LIMITS__REQUEST_BURST: "100000",
    WEIR_DRAIN__DEADLINE_MS: "100",
  });
  const told = (message) => sessions(node).filter((line) => line.message === message);
  const refused = io(node.url, { transports: ["websocket"], forceNew: true, reconnection: false, auth: { traceparent: 7 } });
  atEnd(t, async () => refused.close());
  await once(refused, "connect_error");
  await eventually("the refusal is logged", () => told("session refused").length === 1);
  assert.deepEqual([told("session refused")[0].code, told("session refused")[0].address], ["bad_request", "127.0.0.1"]);

  const [ann, bob, carol] = await Promise.all(["ann", "bob", "carol"].map((name) => SocketPeer.connect(t, node.url, "websocket", name)));
  const { room } = await ann.request("room:create");
  for (const peer of [ann, bob, carol]) await peer.join(room.id);
  const reason = ({ id }) => told("session ended").find(({ member }) => member === id)?.reason;
  carol.emit("message", { data: "x".repeat(3_000_000) });
  await eventually("carol's end is logged", () => reason(carol));
  assert.equal(reason(carol), "oversize");
  bob.socket.io.engine.transport.ws._socket.pause();
  await eventually("bob's end is logged", async () => {
    for (let index = 0; index < 500; index++) ann.emit("message", { data: "x".repeat(900) });
    await ann.request("member:update", { name: "ann" });
    return reason(bob);
  });
  assert.equal(reason(bob), "slow");
  node.signal("SIGTERM");
  await node.exit;
  assert.equal(reason(ann), "draining");
  assert.equal(told("member left").at(-1).member, ann.id, "the last line of all");
});

test("SIGINT logs the end of every session", async (t) => {
  const node = await startNode(t, DEBUG);
  const peers = [];
  for (const way of ["websocket", "polling"]) peers.push(await SocketPeer.connect(t, node.url, way, way));
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  node.signal("SIGINT");
  await node.exit;
  for (const { id } of peers) {
    const [, ended, left] = sessions(node).filter(({ member }) => member === id);
    assert.deepEqual([ended.message, ended.reason], ["session ended", "the node stopped"]);
    assert.deepEqual([left.message, left.reason], ["member left", "disconnected"]);
  }
});

test("at info a node logs only its own lifecycle", async (t) => {
  const node = await startNode(t);
  const ann = await SocketPeer.connect(t, node.url, "websocket", "ann");
  const { room } = await ann.request("room:create");
  await ann.join(room.id);
  ann.close();
  await eventually("nobody is connected", async () => (await metrics(node)).weir_sessions === 0);
  await node.stop();
  const told = lines(node);
  assert.deepEqual(
    told.map(({ message }) => message).filter((message) => !message.includes("server.trusted_proxies")),
    ["starting", "listening", "told to stop", "draining", "clients were told to move", "drained", "stopping", "stopped"],
  );
  const { version, node: id, cluster, access } = told[0];
  assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.match(id, /^[0-9a-f]{16,}$/);
  assert.deepEqual([cluster, access], ["memory", "open"]);
});

test("a node of a cluster logs its id and the loss and return of Redis", async (t) => {
  const redis = await startRedis(t);
  const node = await startMember(t, redis.url);
  // The connections to Redis may log first.
  const start = lines(node).find(({ message }) => message === "starting");
  assert.equal(start.cluster, "redis");
  assert.match(start.node, /^[0-9a-f]{16}$/);
  // The directory, and the probe of each pub/sub plane.
  const LOST = ["the directory cannot be reached", "Redis does not deliver the messages of this node"];
  const BACK = ["the directory is reached", "Redis delivers the messages of this node"];
  const told = (message, plane) => lines(node).filter((line) => line.message === message && line.plane === plane);
  const all = ([directory, planes]) => [told(directory), told(planes, "events"), told(planes, "subscriptions")];
  const before = all(BACK).map(({ length }) => length);
  await redis.kill();
  await eventually("all of it is lost", () => all(LOST).every(({ length }) => length > 0));
  await redis.start();
  await eventually("all of it is back", () => all(BACK).every(({ length }, index) => length > before[index]));
  assert.ok(all(LOST).flat().every(({ level }) => level === "WARN"));
  assert.ok(all(BACK).flat().every(({ level }) => level === "INFO"));
});

test("log lines match the documentation", async () => {
  const text = await readFile(new URL("../../../docs/operations.md", import.meta.url), "utf8");
  const section = text.split("\n## Logs\n")[1].split("\n## ")[0];
  const documented = [...section.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].filter(([, , level]) => level === "DEBUG");
  assert.deepEqual(
    documented.map(([, message]) => message),
    ["session started", "member joined", "track published", "track unpublished", "session refused", "session ended", "member left"],
  );
});
