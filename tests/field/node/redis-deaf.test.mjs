// A Redis connection that looks alive and delivers nothing (`redis/node-redis#3311`: permanently deaf,
// without an error). The node reports within 5 s that it isn't ready, and reconnects until it receives
// messages.
import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import { test } from "node:test";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { isReady, startMember } from "../../lib/servers/cluster.mjs";
import { metrics } from "../../lib/servers/metrics.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startRedis } from "../../lib/servers/redis.mjs";

/** Deadline for a node with a deaf plane to report that it isn't ready. */
const DEAF = 5_000;

/** RESP3 message on a channel that `swallows` matches. */
const MESSAGE = /^>3\r\n\$7\r\nmessage\r\n\$\d+\r\n([^\r]*)\r\n\$(\d+)\r\n/;

/** Filter of a server's stream: drops messages of certain channels, and holds back incomplete data. */
class Filter {
  #held = Buffer.alloc(0);

  pass(bytes, swallows) {
    let rest = Buffer.concat([this.#held, bytes]).toString("latin1");
    let passed = "";
    for (;;) {
      const at = rest.indexOf(">3\r\n$7\r\nmessage\r\n");
      passed += rest.slice(0, at < 0 ? rest.length : at);
      rest = at < 0 ? "" : rest.slice(at);
      const found = rest.match(MESSAGE);
      if (!found || rest.length < found[0].length + Number(found[2]) + 2) break;
      const length = found[0].length + Number(found[2]) + 2;
      if (!swallows.test(found[1])) passed += rest.slice(0, length);
      rest = rest.slice(length);
    }
    this.#held = Buffer.from(rest, "latin1");
    return Buffer.from(passed, "latin1");
  }
}

/** Starts a proxy to `redis` that drops messages on channels that `swallows` matches. */
async function startWay(t, redis) {
  const way = { swallows: /^$/, silent: false, connections: 0 };
  const sockets = new Set();
  const server = createServer((client) => {
    way.connections += 1;
    const upstream = connect(redis.port, "127.0.0.1");
    const filter = new Filter();
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
    }
    client.on("data", (bytes) => upstream.write(bytes));
    upstream.on("data", (bytes) => {
      if (!way.silent) client.write(filter.pass(bytes, way.swallows));
    });
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  way.url = `redis://127.0.0.1:${server.address().port}`;
  return way;
}

async function reasons(node) {
  return (await (await fetch(`${node.opsUrl}/readyz`)).json()).reasons;
}

test("a deaf plane is detected within 5 s and reconnected", async (t) => {
  const redis = await startRedis(t);
  const way = await startWay(t, redis);
  // Room events and the bus use databases of their own, so that their probes differ.
  const node = await startMember(t, `${way.url}/0`, { WEIR_REDIS__DIRECTORY_URL: `${way.url}/1`, WEIR_REDIS__BUS_URL: `${way.url}/2` });
  for (const [swallows, plane, reason] of [
    [/^weir:2:/, "subscriptions", "redis: the bus is not heard: no message came back within 2 s"],
    [/^weir:1:/, "events", "redis: room events are not heard: no message came back within 2 s"],
  ]) {
    way.swallows = swallows;
    const [only] = await eventually(`a reason for ${plane}`, async () => (await reasons(node)).length > 0 && reasons(node), DEAF);
    assert.equal(only, reason);
    assert.deepEqual(await reasons(node), [reason], "the other plane works");
    const lost = `weir_redis_interruptions_total{cause="deaf",plane="${plane}"}`;
    await eventually("the connection is given up", async () => (await metrics(node))[lost] > 0);
    way.swallows = /^$/;
    await eventually("the node is ready", () => isReady(node));
  }
});

test("a silent connection to Redis is detected within 5 s", async (t) => {
  const redis = await startRedis(t);
  const way = await startWay(t, redis);
  const node = await startMember(t, way.url);
  way.silent = true;
  await eventually("the node isn't ready", async () => !(await isReady(node)), DEAF);
  way.silent = false;
  await eventually("the node is ready", () => isReady(node));
});
