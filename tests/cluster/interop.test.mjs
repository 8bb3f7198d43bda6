// Clients of two languages and three transports in one room, on three nodes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCluster } from "../lib/servers/cluster.mjs";
import { within } from "../lib/harness/eventually.mjs";
import { exchange, leave } from "../lib/peers/exchange.mjs";
import { PythonPeer } from "../lib/peers/python-peer.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

test("clients of every kind on three nodes receive everything once and in order", async (t) => {
  const { nodes } = await startCluster(t);
  const [a, b, c] = nodes.map(({ url }) => url);
  const peers = await Promise.all([
    SocketPeer.connect(t, a, "websocket", "websocket on a"),
    SocketPeer.connect(t, b, "polling", "polling on b"),
    SocketPeer.connect(t, c, "upgrade", "upgrade on c"),
    PythonPeer.connect(t, a, ["polling"], "python polling on a"),
    PythonPeer.connect(t, b, ["websocket"], "python websocket on b"),
    SocketPeer.connect(t, c, "websocket", "websocket on c"),
  ]);
  await exchange(peers);
  await leave(t, b, peers);
});

test("members of a stopped node leave at once", async (t) => {
  const { nodes } = await startCluster(t, 2);
  const stays = await SocketPeer.connect(t, nodes[0].url, "websocket", "stays");
  const { room } = await stays.request("room:create");
  await stays.join(room.id);
  const goers = await Promise.all(
    ["websocket", "polling", "websocket"].map((way) => SocketPeer.connect(t, nodes[1].url, way)),
  );
  for (const peer of goers) await peer.join(room.id);
  await goers[0].request("track:publish", { kind: "data", codec: "text/plain" });
  nodes[1].signal("SIGTERM");
  assert.deepEqual(await within("the node ends", nodes[1].exit, 4_000), { code: 0, signal: null });
  // Sooner than a lost node is detected.
  await stays.until("is told of all", () => stays.all("member:left").length === goers.length, 2_000);
  assert.deepEqual([...new Set(stays.all("member:left").map(({ reason }) => reason))], ["disconnected"]);
  const fresh = await SocketPeer.connect(t, nodes[0].url, "websocket", "fresh");
  assert.equal((await fresh.join(room.id)).members.length, 2);
});
