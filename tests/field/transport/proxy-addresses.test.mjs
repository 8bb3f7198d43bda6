// Client addresses behind real proxies, and from clients that pretend to be one.
// From expressjs/express#2099 and cloudfoundry/gorouter#179 (the rightmost address that is not a proxy's),
// and goauthentik/authentik#25397 (several proxies).
import assert from "node:assert/strict";
import { test } from "node:test";
import { Addressed } from "../../lib/raw/addressed.mjs";
import { metrics } from "../../lib/servers/metrics.mjs";
import { startCollector } from "../../lib/servers/collector.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startHaproxy } from "../../lib/servers/haproxy.mjs";
import { startNode } from "../../lib/servers/node.mjs";

/** Maximum connections of each address: a WebSocket, and a long-polling session. */
const LIMIT = 2;

const full = (limit) => `over the limit of ${limit} connections from one address\n`;
const FULL = full(LIMIT);

/** Behind a TCP proxy, the connection that carries a session's polls is its client's, too. */
const TCP = { mode: "tcp", protocol: "required", limit: LIMIT + 1 };

/** HAProxy modes, each with its way of reporting client addresses. */
const PROXIES = {
  "the PROXY protocol, version 1": { ...TCP, server: "send-proxy" },
  "the PROXY protocol, version 2": { ...TCP, server: "send-proxy-v2" },
  "X-Forwarded-For": { mode: "http", frontend: ["option forwardfor"] },
  Forwarded: { mode: "http", frontend: ['http-request add-header Forwarded "for=%[src];proto=http"'] },
};

const startTrusting = (t, { protocol = "off", limit = LIMIT } = {}, env = {}) =>
  startNode(t, {
    WEIR_SERVER__TRUSTED_PROXIES: "127.0.0.1",
    WEIR_SERVER__PROXY_PROTOCOL: protocol,
    WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS: String(limit),
    WEIR_LOG__FILTER: "info,weir_gateway=debug",
    ...env,
  });

/** Returns the addresses of the sessions in the log, once they have started. */
const begun = (node) =>
  node.logs
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ message }) => message === "session started")
    .map(({ address }) => address);

const refused = async (node) => (await metrics(node))['weir_connection_refused_total{reason="per-address"}'];

/** Sends a CONNECT packet for the namespace, in a frame (RFC 6455) whose mask is zero. */
const namespace = (socket) => socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30]));

for (const [name, proxy] of Object.entries(PROXIES)) {
  test(`behind HAProxy with ${name}, a hundred clients count separately`, async (t) => {
    const node = await startTrusting(t, proxy);
    const url = await startHaproxy(t, node, proxy);
    const clients = Array.from({ length: 100 }, (_, index) => new Addressed(t, url, `127.0.${1 + (index % 7)}.${10 + index}`));
    const sockets = [];
    // Opens a WebSocket and a long-polling session for each, and one more of each, which exceeds the limit.
    await Promise.all(
      clients.map(async (client) => {
        const { status, socket } = await client.websocket();
        assert.equal(status, 101, client.address);
        sockets.push(socket);
        assert.equal((await client.polling()).status, 200, client.address);
        for (const { status, body } of [await client.websocket(), await client.polling()]) {
          assert.deepEqual([status, body], [503, full(proxy.limit ?? LIMIT)], client.address);
        }
      }),
    );
    assert.equal(await refused(node), 200);
    for (const socket of sockets) namespace(socket);
    await eventually("all sessions are in the log", () => begun(node).length === 100);
    assert.deepEqual(begun(node).sort(), clients.map(({ address }) => address).sort());
    // A closed connection frees its place.
    const [first] = clients;
    for (const socket of sockets) socket.destroy();
    await eventually("there is room again", async () => (await first.websocket()).status === 101);
  });

  test(`behind HAProxy with ${name}, forged headers are ignored`, async (t) => {
    const node = await startTrusting(t, proxy);
    const url = await startHaproxy(t, node, proxy);
    const forger = new Addressed(t, url, "127.0.9.9");
    const victim = "127.0.8.8";
    const header = name === "Forwarded" ? "forwarded" : "x-forwarded-for";
    const forgeries = [victim, `${victim}, 127.0.0.1`, "6.6.6.6", "127.0.0.1", '"', "unknown", ""].map((list) => {
      const lists = list.split(", ");
      return { [header]: header === "forwarded" ? lists.map((node_) => `for=${node_}`).join(", ") : list };
    });
    const limit = proxy.limit ?? LIMIT;
    for (const headers of forgeries.slice(0, limit)) assert.equal((await forger.websocket(headers)).status, 101);
    for (const headers of forgeries) {
      for (const { status, body } of [await forger.websocket(headers), await forger.polling(headers)]) {
        assert.deepEqual([status, body], [503, full(limit)], JSON.stringify(headers));
      }
    }
    assert.equal((await new Addressed(t, url, victim).websocket()).status, 101, "the victim is not blamed");
  });
}

test("headers that the proxy does not write are ignored", async (t) => {
  for (const [name, own, other] of [
    ["X-Forwarded-For", "for=127.0.8.8", "forwarded"],
    ["Forwarded", "127.0.8.8", "x-forwarded-for"],
  ]) {
    const node = await startTrusting(t, PROXIES[name]);
    const url = await startHaproxy(t, node, PROXIES[name]);
    const forger = new Addressed(t, url, "127.0.9.9");
    for (let index = 0; index < LIMIT; index++) {
      const { socket } = await forger.websocket({ [other]: own });
      namespace(socket);
    }
    assert.deepEqual((await forger.websocket({ [other]: own.replace("127.0.8.8", "127.0.8.9") })).body, FULL);
    await eventually("they are in the log", () => begun(node).length === LIMIT);
    // The node does not know yet which of them the proxy writes.
    assert.deepEqual(begun(node), ["127.0.0.1", "127.0.0.1"]);

    const honest = await new Addressed(t, url, "127.0.7.7").websocket();
    assert.equal(honest.status, 101);
    for (let index = 0; index < LIMIT; index++) {
      const { status, socket } = await forger.websocket({ [other]: own });
      assert.equal(status, 101);
      namespace(socket);
    }
    assert.deepEqual((await forger.websocket({ [other]: own.replace("127.0.8.8", "127.0.8.9") })).body, FULL);
    await eventually("they are in the log", () => begun(node).length === 2 * LIMIT);
    assert.deepEqual(begun(node).slice(LIMIT), ["127.0.9.9", "127.0.9.9"], "it counts as itself");
    assert.equal((await new Addressed(t, url, "127.0.8.8").websocket()).status, 101, "the victim is not blamed");
  }
});

test("headers of direct clients are ignored", async (t) => {
  for (const protocol of ["off", "required"]) {
    const node = await startTrusting(t, { protocol });
    const stranger = new Addressed(t, node.url, "127.0.9.9");
    const forged = (last) => ({ "x-forwarded-for": `6.6.6.${last}`, forwarded: `for=6.6.6.${last}` });
    for (let last = 0; last < LIMIT; last++) {
      const { status, socket } = await stranger.websocket(forged(last));
      assert.equal(status, 101);
      namespace(socket);
    }
    assert.deepEqual((await stranger.websocket(forged(9))).body, FULL);
    await eventually("they are in the log", () => begun(node).length === LIMIT);
    assert.deepEqual(begun(node), ["127.0.9.9", "127.0.9.9"]);
  }
});

test("requests on a shared proxy connection count for their own clients", async (t) => {
  const node = await startTrusting(t);
  const proxy = new Addressed(t, node.url, "127.0.0.1");
  for (let client = 1; client <= 50; client++) {
    const headers = { "x-forwarded-for": `192.0.2.${client}` };
    for (let session = 0; session < LIMIT; session++) assert.equal((await proxy.polling(headers)).status, 200);
    assert.deepEqual((await proxy.polling(headers)).body, FULL);
    // Same client over a WebSocket, reported in the other header.
    assert.deepEqual((await proxy.websocket({ forwarded: `for="192.0.2.${client}:4711"` })).body, FULL);
  }
  const { weir_connections: connections } = await metrics(node);
  assert.equal(connections, 50 * LIMIT + 1, "the sessions, and the proxy's connection");
});

test("the total limit holds behind a proxy", async (t) => {
  const node = await startTrusting(t, {}, { WEIR_SERVER__MAX_CONNECTIONS: "3" });
  const proxy = new Addressed(t, node.url, "127.0.0.1");
  for (let client = 1; client <= 3; client++) {
    assert.equal((await proxy.websocket({ "x-forwarded-for": `192.0.2.${client}` })).status, 101);
  }
  const { status, body } = await proxy.websocket({ "x-forwarded-for": "192.0.2.4" });
  assert.deepEqual([status, body], [503, "over the limit of 3 connections\n"]);
});

test("a trace has its client's address", async (t) => {
  const collector = await startCollector(t);
  const node = await startTrusting(t, {}, { WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc, OTEL_BSP_SCHEDULE_DELAY: "100" });
  const { socket } = await new Addressed(t, node.url, "127.0.0.1").websocket({ "x-forwarded-for": "192.0.2.1, 127.0.0.1" });
  namespace(socket);
  await eventually("the span is there", () => collector.spans.find(({ Name: span }) => span === "connect"));
  const { attributes } = collector.spans.find(({ Name: span }) => span === "connect");
  assert.equal(attributes["client.address"], "192.0.2.1");
});
