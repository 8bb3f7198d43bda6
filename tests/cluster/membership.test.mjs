import { test } from "node:test";
import { Random, seedOf } from "../lib/harness/random.mjs";
import { startChurn } from "../lib/peers/churn.mjs";
import { startCluster } from "../lib/servers/cluster.mjs";

const STEPS = 500;

test(`members on three nodes agree on the room after ${STEPS} joins and leaves and a killed node`, async (t) => {
  const random = new Random(seedOf(t));
  const { nodes } = await startCluster(t);
  const churn = await startChurn(t, random, nodes, { ways: ["websocket"], members: 60, concurrency: 12 });
  await churn.run(STEPS / 2);
  await churn.kill(nodes.at(-1));
  await churn.run(STEPS / 2);
  await churn.check(STEPS);
});
