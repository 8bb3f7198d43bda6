// docker-compose.yml and its balancer, without Docker; tests/deploy/install runs it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Addressed } from "../lib/raw/addressed.mjs";
import { startBalancer } from "../lib/servers/balancer.mjs";
import { isReady } from "../lib/servers/cluster.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { metrics } from "../lib/servers/metrics.mjs";
import { BINARY, startNode } from "../lib/servers/node.mjs";
import { freePort } from "../lib/network/ports.mjs";
import { startRedis } from "../lib/servers/redis.mjs";
import { serveName } from "../lib/servers/name-server.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { tool } from "../lib/harness/tools.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Returns the composition as Compose parses it. */
function composition(env = {}) {
  const args = ["--profile", "observability", "config", "--format", "json"];
  const said = execFileSync(tool("docker-compose"), args, { cwd: ROOT, env: { ...process.env, ...env }, encoding: "utf8" });
  return JSON.parse(said);
}

test("a node accepts the configuration of the composition", () => {
  const { environment } = composition({ WEIR_LOG: "debug", WEIR_CHUNK_SAMPLING: "1000" }).services.gateway;
  const { status, stdout, stderr } = spawnSync(BINARY, ["config"], { env: environment, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  for (const [, key] of Object.keys(environment).join(" ").matchAll(/WEIR_\w+?__(\w+)/g)) {
    assert.match(stdout, new RegExp(`^${key.toLowerCase()} = .*# env WEIR_`, "m"), key);
  }
});

test("every service is pinned, limited and unprivileged, and its mounts exist", () => {
  const { services } = composition();
  for (const [name, service] of Object.entries(services)) {
    assert.match(service.image, /:(v?\d+\.\d+\.\d+|local)$/, name);
    assert.ok(Number(service.mem_limit) > 0, name);
    assert.deepEqual([service.read_only, service.cap_drop], [true, ["ALL"]], name);
    for (const { type, source } of service.volumes ?? []) if (type === "bind") assert.ok(existsSync(source), source);
  }
  const drain = 25_000;
  assert.ok(Number.parseInt(services.gateway.stop_grace_period, 10) * 1000 > drain);
});

test("every variable of the composition has an effect", () => {
  const text = execFileSync("cat", [`${ROOT}docker-compose.yml`], { encoding: "utf8" });
  const variables = new Map([...text.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, value]) => [name, value]));
  const plain = JSON.stringify(composition());
  for (const [name, value] of variables) {
    const other = /^\d+$/.test(value) ? String(Number(value) + 1) : value.replace(/^\d+/, "7") + (/^\d/.test(value) ? "" : "x");
    assert.notEqual(JSON.stringify(composition({ [name]: other })), plain, name);
  }
});

/** Starts two gateways behind the balancer, on the same ports of two addresses. */
async function balanced(t, env = {}) {
  const redis = await startRedis(t);
  const [port, operationsPort] = [await freePort(), await freePort()];
  const start = (address) =>
    startNode(t, { WEIR_REDIS__URL: redis.url, WEIR_SERVER__TRUSTED_PROXIES: "127.0.0.0/8", ...env }, {
      listen: `${address}:${port}`,
      opsListen: `${address}:${operationsPort}`,
    });
  const addresses = ["127.0.0.2", "127.0.0.3"];
  const nodes = await Promise.all(addresses.map(start));
  // HAProxy counts a server as ready until its first check.
  for (const node of nodes) await eventually("it is ready", () => isReady(node));
  const names = await serveName(t, "gateway", addresses.slice());
  const balancer = await startBalancer(t, { resolver: names.server, gateways: `gateway:${port}`, operationsPort });
  await eventually(`the balancer takes clients: ${balancer.output}`, async () => (await fetch(balancer.url)).ok);
  return { balancer, names, nodes, start };
}

const sessions = async (node) => (await metrics(node)).weir_sessions;

test("every transport works through the balancer, on both gateways", async (t) => {
  const { balancer, nodes } = await balanced(t);
  await eventually("both are found", async () => {
    const said = balancer.output.match(/gateways\/gateway\d+ .*?UP\/READY/g) ?? [];
    return new Set(said).size === 2;
  });
  const ways = ["polling", "websocket", "upgrade", "polling", "websocket", "upgrade"];
  const peers = [];
  for (const [index, way] of ways.entries()) {
    peers.push(await SocketPeer.connect(t, balancer.url, way, `${way} ${index}`));
  }
  const counts = await Promise.all(nodes.map(sessions));
  assert.ok(Math.min(...counts) > 0, `both have clients: ${counts}`);
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  for (const peer of peers) {
    const { track } = await peer.request("track:publish", { kind: "data", codec: "x" });
    for (let ts = 0; ts < 30; ts++) peer.emit("media", { track: track.id, ts, key: true }, Buffer.alloc(2_000, ts));
    for (const other of peers) {
      if (other === peer) continue;
      await other.until(`${other.label} has all of ${peer.label}`, () => other.chunks(track.id).length === 30);
      assert.deepEqual(other.chunks(track.id).map(({ payload }) => payload[0]), Array.from({ length: 30 }, (_, ts) => ts));
    }
  }
});

test("gateways trust client addresses only from the balancer", async (t) => {
  // Trusts all of the loopback, as the composition trusts the private ranges. A header from a client inside
  // them must not take effect.
  const { balancer, nodes } = await balanced(t, { WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS: "2" });
  await eventually("both are found", () => (balancer.output.match(/UP\/READY/g) ?? []).length >= 2);
  const forged = { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.1" };
  const statuses = async (address) => {
    const client = new Addressed(t, balancer.url, address);
    const found = [];
    for (let index = 0; index < 2 * nodes.length + 1; index++) found.push((await client.websocket(forged)).status);
    return found;
  };
  for (const address of ["127.0.5.1", "127.0.5.2", "127.0.5.3"]) {
    assert.deepEqual(await statuses(address), [101, 101, 101, 101, 503], address);
  }
});

test("clients of a draining gateway stay until notified, and new clients go elsewhere", async (t) => {
  const drain = { WEIR_DRAIN__PAUSE_MS: "8000", WEIR_DRAIN__WINDOW_MS: "1000", WEIR_DRAIN__DEADLINE_MS: "20000" };
  const { balancer, nodes } = await balanced(t, drain);
  await eventually("both are found", () => (balancer.output.match(/UP\/READY/g) ?? []).length >= 2);
  const peers = [];
  for (let index = 0; index < 8; index++) peers.push(await SocketPeer.connect(t, balancer.url, "polling", `peer ${index}`));
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  const [leaving, staying] = nodes;
  const before = await sessions(leaving);
  assert.ok(before > 0);
  const saidBefore = balancer.output.length;
  leaving.signal("SIGTERM");
  await eventually("the balancer knows", () => /gateways\/gateway\d+ is stopping|conditionally|NOLB|DRAIN/i.test(balancer.output.slice(saidBefore)));
  for (let index = 0; index < 4; index++) {
    await SocketPeer.connect(t, balancer.url, "polling", `late ${index}`);
  }
  assert.equal(await sessions(leaving), before, "nobody new");
  assert.equal(await sessions(staying), 8 - before + 4);
  // Clients are still served, and then notified of the drain.
  for (const peer of peers) await peer.request("member:update", { name: "still here" });
  const told = peers.filter((peer) => peer.all("node:draining").length > 0);
  await eventually("those on it are told", () => peers.filter((peer) => peer.all("node:draining").length > 0).length === before);
  assert.equal(told.length, 0, "not before the pause was over");
});

test("the balancer follows gateways that start and stop", async (t) => {
  const { balancer, names, nodes, start } = await balanced(t);
  await start("127.0.0.4");
  names.addresses.push("127.0.0.4");
  await eventually("the third is found", () => new Set(balancer.output.match(/gateways\/gateway\d+ .*?UP\/READY/g)).size === 3);
  await nodes[0].kill();
  names.addresses.shift();
  await eventually("the first is forgotten", () => /gateways\/gateway\d+ .*(DOWN|maintenance)/.test(balancer.output));
  for (let index = 0; index < 6; index++) {
    const peer = await SocketPeer.connect(t, balancer.url, index % 2 ? "polling" : "websocket", `peer ${index}`);
    await peer.request("room:create");
  }
});
