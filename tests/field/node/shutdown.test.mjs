// Shutdown of a node that sends telemetry: no exit path panics, and the last measurements are sent.
// From open-telemetry/opentelemetry-rust#3640 (an observable that outlives what it reads) and
// open-telemetry/opentelemetry-rust#1375 (the last collection of a PeriodicReader).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { startCollector } from "../../lib/servers/collector.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { BINARY, startNode } from "../../lib/servers/node.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** One hour: any data that arrives was sent by the shutdown. */
const NEVER = "3600000";

const telemetry = (collector, protocol) => ({
  WEIR_TELEMETRY__OTLP_ENDPOINT: collector[protocol],
  WEIR_TELEMETRY__OTLP_PROTOCOL: protocol,
});

/** Creates clients and requests, so that every observable has a value. */
async function busy(t, node) {
  const peers = [];
  for (const way of ["websocket", "polling"]) peers.push(await SocketPeer.connect(t, node.url, way, way));
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  await peers[0].request("track:publish", { kind: "data", codec: "x" });
}

for (const protocol of ["grpc", "http"]) {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    test(`${signal}, OTLP over ${protocol}: the last interval is exported without a panic`, async (t) => {
      const collector = await startCollector(t, "metrics");
      const node = await startNode(t, { ...telemetry(collector, protocol), OTEL_METRIC_EXPORT_INTERVAL: NEVER });
      await busy(t, node);
      node.signal(signal);
      const { code } = await node.exit;
      assert.equal(code, 0, node.logs);
      assert.doesNotMatch(node.logs, /panicked/);
      // Four requests: a room, two joins, a track.
      await eventually("the last metrics are there", () => collector.values("weir.request.done").at(-1) === 4);
      assert.equal(collector.values("weir.members").at(-1), 0, "measured when they had left");
    });
  }

  test(`a second signal, OTLP over ${protocol}: the node ends at once without a panic`, async (t) => {
    const collector = await startCollector(t, "metrics");
    const node = await startNode(t, {
      ...telemetry(collector, protocol),
      OTEL_METRIC_EXPORT_INTERVAL: "5",
      WEIR_DRAIN__PAUSE_MS: "600000",
      WEIR_DRAIN__WINDOW_MS: "0",
      WEIR_DRAIN__DEADLINE_MS: "600000",
    });
    await busy(t, node);
    node.signal("SIGTERM");
    await eventually("it drains", () => node.logs.includes('"draining"'));
    node.signal("SIGTERM");
    const { code } = await node.exit;
    assert.equal(code, 1, node.logs);
    assert.doesNotMatch(node.logs, /panicked/);
    assert.match(node.logs, /ended at once by a second signal \(SIGTERM\)/);
    await node.kill();
  });

  test(`an address in use, OTLP over ${protocol}: the reason is printed once without a panic`, async (t) => {
    const collector = await startCollector(t, "metrics");
    const node = await startNode(t);
    const { host } = new URL(node.url);
    const { status, stderr } = spawnSync(BINARY, ["serve", "--listen", host, "--ops-listen", "127.0.0.1:0"], {
      env: { PATH: process.env.PATH, ...telemetry(collector, protocol), OTEL_METRIC_EXPORT_INTERVAL: "5" },
      encoding: "utf8",
    });
    assert.equal(status, 1, stderr);
    assert.doesNotMatch(stderr, /panicked/);
    assert.equal(stderr.match(/Address already in use/g)?.length, 1, stderr);
  });
}

test("a node answers scrapes and exports metrics until it ends", async (t) => {
  const collector = await startCollector(t, "metrics");
  const node = await startNode(t, { ...telemetry(collector, "grpc"), OTEL_METRIC_EXPORT_INTERVAL: "1" });
  await busy(t, node);
  let ended = false;
  const scraped = (async () => {
    const seen = new Set();
    while (!ended) {
      const answer = await fetch(`${node.opsUrl}/metrics`).catch(() => null);
      if (answer) {
        seen.add(answer.status);
        await answer.text().catch(() => {});
      }
    }
    return [...seen];
  })();
  await eventually("it is collected", () => collector.values("weir.members").includes(2));
  node.signal("SIGTERM");
  const { code } = await node.exit;
  ended = true;
  assert.equal(code, 0, node.logs);
  assert.deepEqual(await scraped, [200]);
  assert.doesNotMatch(node.logs, /panicked/);
});

test("a refused configuration ends a node with telemetry without a panic", async (t) => {
  const collector = await startCollector(t, "metrics");
  const { status, stderr } = spawnSync(BINARY, ["serve", "--listen", "nowhere"], {
    env: telemetry(collector, "http"),
    encoding: "utf8",
  });
  assert.equal(status, 2, stderr);
  assert.doesNotMatch(stderr, /panicked/);
});
