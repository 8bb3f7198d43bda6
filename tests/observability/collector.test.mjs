// The shipped collector configuration in the OpenTelemetry collector.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { startCollector } from "../lib/servers/collector.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { CONFIGURATION, startShippedCollector } from "../lib/servers/shipped-collector.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { tool } from "../lib/harness/tools.mjs";

const SOON = { OTEL_BSP_SCHEDULE_DELAY: "100", OTEL_BLRP_SCHEDULE_DELAY: "100", OTEL_METRIC_EXPORT_INTERVAL: "200" };

/** Validates a configuration with the collector. */
const validate = (text) =>
  spawnSync(tool("otelcol"), ["validate", "--config", "env:GIVEN"], {
    env: { ...process.env, GIVEN: text },
    encoding: "utf8",
  });

test("the collector accepts its configuration and rejects a wrong one", async () => {
  const text = await readFile(CONFIGURATION, "utf8");
  const good = validate(text);
  assert.equal(good.status, 0, good.stderr);
  const bad = validate(text.replace("exporters: [otlp_grpc/traces]", "exporters: [otlp_grpc/nowhere]"));
  assert.notEqual(bad.status, 0);
  assert.match(bad.stderr, /otlp_grpc\/nowhere/);
});

for (const protocol of ["grpc", "http"]) {
  test(`traces of a node pass through the collector to the backend (${protocol})`, async (t) => {
    const kept = await startCollector(t);
    const collector = await startShippedCollector(t, { TRACES_ENDPOINT: new URL(kept.grpc).host });
    const node = await startNode(t, {
      ...SOON,
      WEIR_TELEMETRY__OTLP_ENDPOINT: collector[protocol],
      WEIR_TELEMETRY__OTLP_PROTOCOL: protocol,
    });
    const peer = await SocketPeer.connect(t, node.url);
    const { room } = await peer.request("room:create");
    await peer.join(room.id);
    await eventually("the join is kept", () => kept.spans.some(({ Name }) => Name === "room:join"));
    for (const signal of ["Metrics", "Logs"]) {
      await eventually(`${signal} reach the collector`, () => collector.output.includes(`\t${signal}\t`));
    }
  });
}
