// `make cluster`: one address, three nodes behind it, and no process left when it ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Addressed } from "../lib/raw/addressed.mjs";
import { atEnd } from "../lib/harness/at-end.mjs";
import { metrics } from "../lib/servers/metrics.mjs";
import { eventually, within } from "../lib/harness/eventually.mjs";
import { exchange, leave } from "../lib/peers/exchange.mjs";
import { BINARY } from "../lib/servers/node.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

/** Maximum connections of one address at each node: more than the test's own, and fewer than it attempts. */
const LIMIT = 30;

const SCRIPT = fileURLToPath(new URL("../../deploy/cluster.mjs", import.meta.url));

test("one address leads to three nodes, survives the death of one, and Ctrl-C stops all", async (t) => {
  const script = spawn("node", [SCRIPT, "--port", "0", "--binary", BINARY], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS: String(LIMIT) },
  });
  const ended = new Promise((resolve) => script.once("exit", (code) => resolve(code)));
  atEnd(t, async () => {
    script.kill("SIGINT");
    assert.equal(await within("the script ends", ended), 0);
  });
  const said = [];
  const up = new Promise((resolve) => {
    createInterface({ input: script.stdout }).on("line", (line) => {
      said.push(line);
      const [, url] = /^open (http:\S+);/.exec(line) ?? [];
      if (url) resolve(url);
    });
  });
  const url = await within("the cluster is up", up, 30_000);
  const pids = said.flatMap((line) => [...line.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid)));
  assert.equal(pids.length, 4, said.join("\n"));
  const ops = said.flatMap((line) => [...line.matchAll(/operations (\S+)/g)].map(([, address]) => address));

  assert.match(await (await fetch(url)).text(), /<html/i);
  const ways = ["polling", "websocket", "upgrade", "polling", "websocket", "upgrade"];
  const peers = [];
  for (const [index, way] of ways.entries()) peers.push(await SocketPeer.connect(t, url, way, `${way} ${index}`));
  const used = await Promise.all(ops.map((opsUrl) => metrics({ opsUrl })));
  for (const { weir_sessions: sessions } of used) assert.ok(sessions > 0, "a node without clients");
  await exchange(peers);
  await leave(t, url, peers);

  // The nodes trust client addresses only from the balancer.
  const forged = { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.1" };
  for (const address of ["127.0.5.1", "127.0.5.2"]) {
    const client = new Addressed(t, url, address);
    const statuses = [];
    for (let index = 0; index <= 3 * LIMIT; index++) statuses.push((await client.websocket(forged)).status);
    assert.deepEqual(statuses, [...Array(3 * LIMIT).fill(101), 503], address);
  }

  const nodes = pids.slice(1);
  process.kill(nodes[0], "SIGKILL");
  await eventually("its end is told", () => said.some((line) => /^node 1 has ended \(SIGKILL\)/.test(line)));
  for (const way of [...ways, ...ways]) {
    const peer = await SocketPeer.connect(t, url, way, `${way} after the kill`);
    await peer.request("room:create");
  }

  script.kill("SIGINT");
  assert.equal(await within("the script ends", ended), 0);
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" }, `process ${pid} is still there`);
});
