// Limits on connections.
import assert from "node:assert/strict";
import { test } from "node:test";
import { atEnd } from "../lib/harness/at-end.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { RawWebSocket } from "../lib/raw/websocket.mjs";

const LIMIT = 5;

for (const key of ["WEIR_SERVER__MAX_CONNECTIONS", "WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS"]) {
  test(`${key} limits connections until one closes`, async (t) => {
    const node = await startNode(t, { [key]: String(LIMIT) });
    const connect = async () => {
      const client = await RawWebSocket.connect(node.url);
      atEnd(t, () => client.destroy());
      return client;
    };
    const clients = [];
    while (clients.length < LIMIT) clients.push(await connect());
    for (let attempt = 0; attempt < LIMIT; attempt++) await assert.rejects(connect());
    assert.ok(clients.every(({ open }) => open));

    clients[0].destroy();
    await eventually("there is room for one", () => connect().catch(() => null));
    await assert.rejects(connect());
  });
}
