import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { startCluster } from "../lib/servers/cluster.mjs";
import { BINARY, startNode } from "../lib/servers/node.mjs";

/** Runs `weir probe` and returns its exit status and output. */
async function probe(...args) {
  const process = spawn(BINARY, ["probe", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let complained = "";
  process.stdout.on("data", (data) => (said += data));
  process.stderr.on("data", (data) => (complained += data));
  const code = await new Promise((resolve) => process.once("close", resolve));
  return { code, said, complained };
}

test("probe recognises nodes of one cluster", async (t) => {
  const { nodes } = await startCluster(t, 3);
  const { code, said, complained } = await probe("--nodes", "3", ...nodes.map(({ url }) => url));
  assert.equal(code, 0, complained);
  const lines = said.trimEnd().split("\n");
  assert.equal(lines.filter((line) => /joined in [\d.]+ ms, sent a chunk$/.test(line)).length, 1);
  assert.equal(lines.filter((line) => /joined in [\d.]+ ms, got it [\d.]+ ms later$/.test(line)).length, 2);
});

test("probe reports separate clusters and missing nodes", async (t) => {
  const nodes = await Promise.all([startNode(t), startNode(t)]);
  const urls = nodes.map(({ url }) => url);
  const apart = await probe(...urls);
  assert.equal(apart.code, 1);
  assert.match(apart.complained, /room:join is refused: .*room_not_found/);
  const missing = await probe("--nodes", "3", ...urls);
  assert.equal(missing.code, 1);
  assert.match(missing.complained, /2 of 3 nodes found/);
  const nobody = await probe("http://127.0.0.1:1");
  assert.equal(nobody.code, 1);
  assert.match(nobody.complained, /cannot connect to 127\.0\.0\.1:1/);
});
