import { eventually } from "../harness/eventually.mjs";
import { startNode } from "./node.mjs";
import { startRedis } from "./redis.mjs";

/** Whether a node takes clients. */
export async function isReady(node) {
  const answer = await fetch(`${node.opsUrl}/readyz`);
  await answer.text();
  return answer.ok;
}

/** Starts a node that belongs to the cluster of the Redis at `url`, and waits until it takes clients. */
export async function startMember(t, url, env = {}) {
  const node = await startNode(t, { WEIR_REDIS__URL: url, ...env });
  await eventually("the node is ready", () => isReady(node));
  return node;
}

/** Starts a Redis and so many nodes on it for the test `t`. */
export async function startCluster(t, count = 3, env = {}) {
  const redis = await startRedis(t);
  const nodes = await Promise.all(Array.from({ length: count }, () => startMember(t, redis.url, env)));
  return { redis, nodes };
}
