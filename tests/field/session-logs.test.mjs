// What a node's log says: at info its own life, at debug each session's, with ids that a user's trouble can be
// followed by. From socketio/socket.io#3337 and http-party/node-http-proxy#271 (whose connection it was).
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { eventually } from "../lib/eventually.mjs";
import { startNode } from "../lib/node.mjs";
import { SocketPeer } from "../lib/socket-peer.mjs";

const DEBUG = { WEIR_LOG__FILTER: "info,weir_gateway=debug,weir_engine=debug" };

const lines = (node) => node.logs.split("\n").map((line) => JSON.parse(line));

const sessions = (node) => lines(node).filter(({ level }) => level === "DEBUG");

/** A line without what differs each time. */
const plain = ({ timestamp, target, trace_id, span_id, ...line }) => line;

for (const way of ["websocket", "polling"]) {
  test(`a session over ${way} leaves a line for each step of its life, and no other`, async (t) => {
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

test("who leaves, and who vanishes, is told apart", async (t) => {
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

test("at info a node tells of its own life and of nobody else's", async (t) => {
  const node = await startNode(t);
  const ann = await SocketPeer.connect(t, node.url, "websocket", "ann");
  const { room } = await ann.request("room:create");
  await ann.join(room.id);
  ann.close();
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

test("the lines are those that are documented", async () => {
  const text = await readFile(new URL("../../docs/operations.md", import.meta.url), "utf8");
  const section = text.split("\n## Logs\n")[1].split("\n## ")[0];
  const documented = [...section.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].filter(([, , level]) => level === "DEBUG");
  assert.deepEqual(
    documented.map(([, message]) => message),
    ["session started", "member joined", "track published", "track unpublished", "session ended", "member left"],
  );
});
