// Instructions per chunk on one node and across Redis. Other load on the machine does not change them.
//
// WEIR_TEST_COST_CHUNKS sets the number of chunks (2,000 by default), WEIR_BIN another binary, and
// WEIR_TEST_COST_PROFILES a folder for the profiles, which `callgrind_annotate` reads.
import assert from "node:assert/strict";
import { test } from "node:test";
import { costAcrossRedis, costOnOneNode } from "../lib/cost/chunk-cost.mjs";

const CHUNKS = Number(process.env.WEIR_TEST_COST_CHUNKS ?? 2_000);
const PROFILES = process.env.WEIR_TEST_COST_PROFILES;
const BUILD = process.env.WEIR_TEST_COST_BUILD ?? "debug";

/**
 * Instructions per chunk of each build, and the factor by which a count may exceed them: runs differ by 3 %, and a
 * debug build also by its compiler.
 *
 * The design before, with a lookup per hop and two passes over each header, took in a debug and in a release build:
 * 107,100 and 16,400 per published chunk with ten subscribers, 60,200 and 10,300 per chunk from Redis with one
 * subscriber, 67,300 and 12,600 with ten.
 */
const EXPECTED = {
  debug: { oneNode: 56_800, oneSubscriber: 21_000, tenSubscribers: 28_000, tolerance: 1.1 },
  release: { oneNode: 12_600, oneSubscriber: 6_900, tenSubscribers: 9_100, tolerance: 1.04 },
}[BUILD];

const CASES = [
  { name: "a chunk to ten subscribers on its node", cost: costOnOneNode, subscribers: 10, expected: EXPECTED.oneNode },
  { name: "a chunk from Redis to one subscriber", cost: costAcrossRedis, subscribers: 1, expected: EXPECTED.oneSubscriber },
  { name: "a chunk from Redis to ten subscribers", cost: costAcrossRedis, subscribers: 10, expected: EXPECTED.tenSubscribers },
];

for (const { name, cost, subscribers, expected } of CASES) {
  const most = Math.round(expected * EXPECTED.tolerance);
  test(`${name} costs at most ${most} instructions`, { timeout: 2_400_000 }, async (t) => {
    const profiles = PROFILES && `${PROFILES}/${name.replaceAll(" ", "-")}`;
    const instructions = await cost(t, { chunks: CHUNKS, subscribers, profiles });
    t.diagnostic(`${name}: ${instructions.toFixed(0)} instructions in a ${BUILD} build, expected ${expected}`);
    assert.ok(instructions <= most, `${name} takes ${instructions.toFixed(0)} instructions`);
  });
}
