import { eventually } from "../harness/eventually.mjs";
import { startNode } from "./node.mjs";
import { startRedis } from "./redis.mjs";

/** Returns whether a node accepts clients. */
export async function isReady(node) {
  const answer = await fetch(`${node.opsUrl}/readyz`);
  await answer.text();
  return answer.ok;
}

/** Starts a node of the cluster of the Redis at `url`, and waits until it is ready. */
export async function startMember(t, url, env = {}) {
  const node = await startNode(t, { WEIR_REDIS__URL: url, ...env });
  await eventually("the node is ready", () => isReady(node));
  return node;
}

/** Starts a Redis and `count` nodes on it for the test `t`. */
export async function startCluster(t, count = 3, env = {}) {
  const redis = await startRedis(t);
  const nodes = await Promise.all(Array.from({ length: count }, () => startMember(t, redis.url, env)));
  return { redis, nodes };
}
