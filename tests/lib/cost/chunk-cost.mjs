import { eventually } from "../harness/eventually.mjs";
import { isReady, startMember } from "../servers/cluster.mjs";
import { startRedis } from "../servers/redis.mjs";
import { sendChunks, startAudience, startPublisher } from "./audience.mjs";
import { startCountedNode } from "./counted-node.mjs";

const UNLIMITED = { WEIR_LIMITS__CHUNKS_PER_SECOND: "1000000", WEIR_LIMITS__INGEST_BITS_PER_SECOND: "100000000000" };

/** Runs a node with a publisher and `subscribers` others. */
async function runOnOneNode(t, { subscribers, env, ...load }) {
  const node = await startCountedNode(t, env);
  const source = await startPublisher(t, node.url);
  const audience = await startAudience(t, node.url, source.room, subscribers);
  return { node, ms: await sendChunks(source, audience, load) };
}

/** Runs a node with `subscribers` members, whose publisher is on another node. */
async function runAcrossRedis(t, { subscribers, env, ...load }) {
  const redis = await startRedis(t);
  const origin = await startMember(t, redis.url, UNLIMITED);
  const node = await startCountedNode(t, { WEIR_REDIS__URL: redis.url, ...env });
  await eventually("the counted node is ready", () => isReady(node));
  const source = await startPublisher(t, origin.url);
  const audience = await startAudience(t, node.url, source.room, subscribers);
  return { node, ms: await sendChunks(source, audience, load) };
}

/** Runs a load and stops the node; returns its instructions and the load's duration. */
async function count(t, run, options, profile) {
  const { node, ms } = await run(t, options);
  const instructions = await node.stop();
  if (profile) await node.keepProfile(profile);
  return { instructions, ms };
}

/**
 * Returns the instructions per chunk: the difference of a long run and a short one, in which start and stop cancel. The
 * short run lasts as long as the other, so that heartbeats and leases cancel too. Keeps the profiles of both in the
 * folder `profiles`, if there is one.
 */
async function perChunk(t, run, { chunks, profiles, ...options }) {
  const profile = (name) => profiles && `${profiles}/${name}`;
  const long = await count(t, run, { ...options, chunks: (chunks * 3) / 2 }, profile("long"));
  const short = await count(t, run, { ...options, chunks: chunks / 2, atLeastMs: long.ms }, profile("short"));
  return (long.instructions - short.instructions) / chunks;
}

/** Returns the instructions per published chunk of a node with the publisher and `subscribers` others. */
export const costOnOneNode = (t, options) => perChunk(t, runOnOneNode, options);

/** Returns the instructions per chunk that arrives from Redis of a node with `subscribers` members. */
export const costAcrossRedis = (t, options) => perChunk(t, runAcrossRedis, options);
