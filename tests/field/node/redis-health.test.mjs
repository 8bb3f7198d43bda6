// A node is ready when its own publications come back, and reports the cause when they do not:
// `redis/redis#12418` and `bitnami/charts#19244`, users who lack only permissions for channels.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";
import { isReady, startMember } from "../../lib/servers/cluster.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { BINARY, startNode } from "../../lib/servers/node.mjs";
import { startRedis } from "../../lib/servers/redis.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

const PASSWORD = "secret";

/** Deadline for a node with a deaf plane to report that it isn't ready. */
const DEAF = 5_000;

/** Reads the ACL rules that docs/redis.md gives operators, without `user weir`. */
async function rules() {
  const page = await readFile(new URL("../../../docs/redis.md", import.meta.url), "utf8");
  const [, block] = page.match(/```acl\n([\s\S]*?)```/);
  return block.replace("PASSWORD", PASSWORD).trim().split(/\s+/).slice(2);
}

/** Starts a Redis whose user `weir` has the documented rules, then `changes`. */
async function guarded(t, ...changes) {
  const redis = await startRedis(t);
  assert.equal(await redis.cli("acl", "setuser", "weir", ...(await rules()), ...changes), "OK");
  return { redis, url: redis.url.replace("redis://", `redis://weir:${PASSWORD}@`) };
}

async function reasons(node) {
  const { ready, reasons } = await (await fetch(`${node.opsUrl}/readyz`)).json();
  assert.equal(ready, reasons.length === 0);
  return reasons;
}

async function until(node, reason) {
  const all = await eventually(`a reason like ${reason}`, async () => {
    const all = await reasons(node);
    return all.some((one) => reason.test(one)) && all;
  }, DEAF);
  return all.filter((one) => reason.test(one));
}

test("the documented permissions are sufficient", async (t) => {
  const { redis, url } = await guarded(t);
  const nodes = [await startMember(t, url), await startMember(t, url)];
  const [a, b] = await Promise.all(nodes.map((node) => SocketPeer.connect(t, node.url, "websocket")));
  const { room } = await a.request("room:create");
  await a.join(room.id);
  await b.join(room.id);
  await a.until("is told of the other", () => a.all("member:joined").length === 1);
  const { track } = await a.request("track:publish", { kind: "data", codec: "text/plain" });
  await b.until("is told of the track", () => b.all("track:published").length === 1);
  await a.request("track:unpublish", { track: track.id });
  await b.until("is told of its end", () => b.all("track:unpublished").length === 1);
  await b.request("room:leave");
  await a.until("is told of the end", () => a.all("member:left").length === 1);
  assert.equal(await redis.cli("acl", "log"), "", "nothing was refused");
});

test("a node without channel permissions is not ready and reports the cause", async (t) => {
  const { redis, url } = await guarded(t, "resetchannels");
  const node = await startNode(t, { WEIR_REDIS__URL: url });
  await until(node, /^redis: the bus is not heard: NOPERM .*channel/);
  await until(node, /^redis: room events are not heard: NOPERM .*channel/);
  const run = promisify(execFile);
  const { stdout } = await run(BINARY, ["status", node.opsUrl]);
  assert.match(stdout, /^ready +no: .*redis: the bus is not heard: NOPERM/m);
  assert.match(stdout, /^redis .*subscriptions away/m);
  await redis.cli("acl", "setuser", "weir", "&weir:*");
  await eventually("the node is ready", () => isReady(node));
});

test("permissions withdrawn at runtime are detected", async (t) => {
  const { redis, url } = await guarded(t);
  const node = await startMember(t, url);
  for (const [withdrawn, granted, reason] of [
    [["resetchannels"], ["&weir:*"], /^redis: the bus is not heard: NOPERM/],
    [["-subscribe"], ["+subscribe"], /^redis: the bus is not heard: NOPERM/],
    [["-evalsha"], ["+evalsha"], /^redis: room events are not heard: .*evalsha/],
    [["-publish"], ["+publish"], /^redis: room events are not heard: .*(NOPERM|can't run this command)/],
    [["off"], ["on"], /^redis: the bus is not heard: WRONGPASS/],
  ]) {
    await redis.cli("acl", "setuser", "weir", ...withdrawn);
    await redis.cli("client", "kill", "type", "pubsub");
    await until(node, reason);
    await redis.cli("acl", "setuser", "weir", ...granted);
    await eventually(`the node is ready after ${withdrawn}`, () => isReady(node));
  }
});
