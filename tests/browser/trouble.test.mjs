import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startMember } from "../lib/servers/cluster.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { openGate } from "../lib/network/gate.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { servePages } from "../lib/servers/page-server.mjs";
import { enter, latencies, openParticipant, quantile, report, startKnownBrowser } from "../lib/browser/participant.mjs";
import { startRedis } from "../lib/servers/redis.mjs";

const CUT_MS = 3_000;
const BACK_MS = 2_000;
const THROTTLED_BITS = 350_000;
const ADAPTATION_MS = 12_000;
const STEADY_MS = 8_000;

/** Waits until each sees the other's pictures move. */
async function talking(ann, bob) {
  const counts = async () => {
    const [atAnn, atBob] = await Promise.all([report(ann), report(bob)]);
    return [atAnn.seen.bob?.length ?? 0, atBob.seen.ann?.length ?? 0];
  };
  const before = await counts();
  await eventually("both see each other move", async () => {
    const now = await counts();
    return now.every((count, index) => count > before[index] + 10);
  });
}

/** Returns the time from `since` to the first picture that is followed by nine more, in milliseconds. */
function movesAgain(seen, since) {
  const after = seen.filter(([, at]) => at > since);
  return after.length < 10 ? Number.POSITIVE_INFINITY : after[0][1] - since;
}

/** Returns the longest time between two pictures from shortly before `since` on, in whole milliseconds. */
function longestPause(seen, since) {
  const times = seen.map(([, at]) => at).filter((at) => at > since - 500);
  return Math.round(Math.max(...times.slice(1).map((at, index) => at - times[index])));
}

test("connection and pictures return after a network cut of three seconds", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const gate = await openGate(t, node.url);
  const [ann, bob] = await Promise.all(
    [0, 1].map(async () => openParticipant(t, await startKnownBrowser(t), pages)),
  );
  const room = await enter(ann, { url: gate.url, name: "ann" });
  await enter(bob, { url: node.url, room, name: "bob" });
  await talking(ann, bob);

  gate.cut();
  await pause(CUT_MS);
  gate.mend();
  const mendedAt = Date.now();
  await pause(BACK_MS + 1_000);

  const [atAnn, atBob] = await Promise.all([report(ann), report(bob)]);
  const back = { ann: movesAgain(atAnn.seen.bob, mendedAt), bob: movesAgain(atBob.seen.ann, mendedAt) };
  t.diagnostic(`after the network's return: ann sees bob after ${Math.round(back.ann)} ms, bob sees ann after ${Math.round(back.bob)} ms`);
  assert.ok(back.ann <= BACK_MS, "who was cut off sees the others again within two seconds");
  assert.ok(back.bob <= BACK_MS, "the others see who was cut off again within two seconds");
  const states = atAnn.events.filter(([what]) => what === "state").map(([, state]) => state);
  assert.deepEqual(states, ["joined", "reconnecting", "joined"]);
  assert.deepEqual(atAnn.events.filter(([what]) => what === "error"), []);
});

test("bitrate adapts to half the bandwidth without added latency", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const gate = await openGate(t, node.url);
  const [ann, bob] = await Promise.all(
    [0, 1].map(async () => openParticipant(t, await startKnownBrowser(t), pages)),
  );
  const room = await enter(ann, { url: gate.url, name: "ann" });
  await enter(bob, { url: node.url, room, name: "bob", publish: false });
  await eventually("bob sees ann", async () => (await report(bob)).seen.ann?.length > 30);
  gate.throttle(THROTTLED_BITS / 8);
  await pause(ADAPTATION_MS);
  const from = (await report(bob)).seen.ann.length;
  await pause(STEADY_MS);

  const [atAnn, atBob] = await Promise.all([report(ann), report(bob)]);
  const late = latencies(atBob.seen.ann.slice(from), atAnn.camera).map(({ ms }) => ms);
  const video = atAnn.sent.find(({ kind }) => kind === "video");
  t.diagnostic(
    `${late.length} pictures, p50 ${Math.round(quantile(late, 0.5))} ms, p95 ${Math.round(quantile(late, 0.95))} ms; ` +
      `${video.skipped} skipped, ${video.targetBitrate} bit/s wanted`,
  );
  assert.ok(video.targetBitrate < THROTTLED_BITS, "no more is wanted than gets through");
  assert.ok(late.length > (5 * STEADY_MS) / 1_000, "the picture moves");
  assert.ok(quantile(late, 0.95) < 1_000, "the picture is not late");
});

test("members of a killed node continue on another node", async (t) => {
  const redis = await startRedis(t);
  const [first, second] = await Promise.all([0, 1].map(() => startMember(t, redis.url)));
  const pages = await servePages(t);
  // The killed node's connections end with an error, which the browser reports.
  const allowed = (text) => text.includes("WebSocket");
  const [ann, bob] = await Promise.all(
    [0, 1].map(async () => openParticipant(t, await startKnownBrowser(t), pages, { allowed })),
  );
  const room = await enter(ann, { url: [first.url, second.url], name: "ann" });
  await enter(bob, { url: second.url, room, name: "bob" });
  await talking(ann, bob);
  await first.kill();
  const killedAt = Date.now();
  await talking(ann, bob);
  const [atAnn, atBob] = await Promise.all([report(ann), report(bob)]);
  const pauses = [longestPause(atAnn.seen.bob, killedAt), longestPause(atBob.seen.ann, killedAt)];
  t.diagnostic(`the node's end stopped bob's picture for ${pauses[0]} ms, ann's for ${pauses[1]} ms`);
  assert.ok(Math.max(...pauses) <= BACK_MS, "the pictures move again within two seconds");
  const states = atAnn.events.filter(([what]) => what === "state").map(([, state]) => state);
  assert.deepEqual(states, ["joined", "reconnecting", "joined"]);
});

test("members of a draining node move with hardly a missed picture", async (t) => {
  const redis = await startRedis(t);
  const drain = { WEIR_DRAIN__PAUSE_MS: "500", WEIR_DRAIN__WINDOW_MS: "1000", WEIR_DRAIN__DEADLINE_MS: "10000" };
  const [first, second] = await Promise.all([startMember(t, redis.url, drain), startMember(t, redis.url)]);
  const pages = await servePages(t);
  const [ann, bob] = await Promise.all(
    [0, 1].map(async () => openParticipant(t, await startKnownBrowser(t), pages)),
  );
  const room = await enter(ann, { url: [first.url, second.url], name: "ann" });
  await enter(bob, { url: second.url, room, name: "bob" });
  await talking(ann, bob);
  first.signal("SIGTERM");
  const from = Date.now();
  assert.deepEqual(await first.exit, { code: 0, signal: null });
  t.diagnostic(`the node was gone after ${Date.now() - from} ms`);
  await talking(ann, bob);
  const [atAnn, atBob] = await Promise.all([report(ann), report(bob)]);
  const pauses = [longestPause(atAnn.seen.bob, from), longestPause(atBob.seen.ann, from)];
  t.diagnostic(`the move stopped bob's picture for ${pauses[0]} ms, ann's for ${pauses[1]} ms`);
  assert.ok(Math.max(...pauses) <= 1_000, "the pictures move again within a second");
  const states = atAnn.events.filter(([what]) => what === "state").map(([, state]) => state);
  assert.deepEqual(states, ["joined", "reconnecting", "joined"]);
  assert.deepEqual([atAnn, atBob].flatMap(({ events }) => events.filter(([what]) => what === "error")), []);
});
