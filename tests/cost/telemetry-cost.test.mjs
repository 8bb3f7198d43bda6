// Instructions of telemetry per delivered chunk. Other load on the machine does not change them.
//
// WEIR_TEST_COST_CHUNKS sets the number of chunks (2,000 by default), WEIR_BIN another binary.
import assert from "node:assert/strict";
import { test } from "node:test";
import { costOnOneNode } from "../lib/cost/chunk-cost.mjs";
import { startCollector } from "../lib/servers/collector.mjs";

const CHUNKS = Number(process.env.WEIR_TEST_COST_CHUNKS ?? 2_000);
const SUBSCRIBERS = 10;
const MOST = 1.03;

test("telemetry costs less than 3 % of a delivered chunk's instructions", { timeout: 2_400_000 }, async (t) => {
  const collector = await startCollector(t);
  const cost = async (env) => (await costOnOneNode(t, { chunks: CHUNKS, subscribers: SUBSCRIBERS, env })) / SUBSCRIBERS;
  const off = await cost({});
  const on = await cost({
    WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc,
    WEIR_TELEMETRY__CHUNK_SAMPLING: String(Math.min(10_000, CHUNKS / 2)),
  });
  t.diagnostic(`instructions per delivered chunk: ${off.toFixed(0)} without, ${on.toFixed(0)} with telemetry: ${(100 * (on / off - 1)).toFixed(2)} % more`);
  assert.ok(on / off < MOST);
});
