// Clients of two languages and three transports in one room, on three nodes.
import { test } from "node:test";
import { startCluster } from "./lib/cluster.mjs";
import { exchange, leave } from "./lib/exchange.mjs";
import { PythonPeer } from "./lib/python-peer.mjs";
import { SocketPeer } from "./lib/socket-peer.mjs";

test("clients of every kind in one room, spread over three nodes", async (t) => {
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
