import { test } from "node:test";
import { Random, seedOf } from "../lib/harness/random.mjs";
import { startChurn } from "../lib/peers/churn.mjs";
import { startNode } from "../lib/servers/node.mjs";

const STEPS = 200;

test(`members agree on the room after ${STEPS} random joins and leaves`, async (t) => {
  const random = new Random(seedOf(t));
  const node = await startNode(t);
  const ways = ["websocket", "websocket", "polling", "upgrade"];
  const churn = await startChurn(t, random, [node], { ways, members: 20, concurrency: 8 });
  await churn.run(STEPS);
  await churn.check(STEPS);
});
