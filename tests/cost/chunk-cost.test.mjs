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

/** Factor by which a count may exceed its limit. Runs differ by 3 %, compilers and C libraries by more. */
const TOLERANCE = 1.1;

/**
 * Most instructions per chunk of each build.
 *
 * The design with one lookup per hop and two passes over each header took, in a debug and in a release build:
 * 107,100 and 16,400 per published chunk with ten subscribers, 60,200 and 10,300 per chunk from Redis with one
 * subscriber, 67,300 and 12,600 with ten.
 */
const LIMITS = {
  debug: { oneNode: 56_800, oneSubscriber: 24_700, tenSubscribers: 30_200 },
  release: { oneNode: 15_500, oneSubscriber: 7_700, tenSubscribers: 9_450 },
}[BUILD];

const CASES = [
  { name: "a chunk to ten subscribers on its node", cost: costOnOneNode, subscribers: 10, limit: LIMITS.oneNode },
  { name: "a chunk from Redis to one subscriber", cost: costAcrossRedis, subscribers: 1, limit: LIMITS.oneSubscriber },
  { name: "a chunk from Redis to ten subscribers", cost: costAcrossRedis, subscribers: 10, limit: LIMITS.tenSubscribers },
];

for (const { name, cost, subscribers, limit } of CASES) {
  test(`${name} costs at most ${limit} instructions`, { timeout: 2_400_000 }, async (t) => {
    const profiles = PROFILES && `${PROFILES}/${name.replaceAll(" ", "-")}`;
    const instructions = await cost(t, { chunks: CHUNKS, subscribers, profiles });
    t.diagnostic(`${name}: ${instructions.toFixed(0)} instructions in a ${BUILD} build, limit ${limit}`);
    assert.ok(instructions <= limit * TOLERANCE, `${name} takes ${instructions.toFixed(0)} instructions, the limit is ${limit}`);
  });
}
