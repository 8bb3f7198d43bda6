#!/usr/bin/env node
// Runs a whole cluster on this machine, without Docker: Redis, some nodes, and a load balancer. Ctrl-C stops
// everything. For development only: a process that ends is not restarted.
//
//     node deploy/cluster.mjs [--port 8080] [--nodes 3] [--binary target/release/weir]
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { balance } from "./balancer.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Timeout for starting and stopping each process. */
const TIMEOUT_MS = 15_000;

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8080" },
    nodes: { type: "string", default: "3" },
    binary: { type: "string", default: here("../target/release/weir") },
  },
});

/** Running processes by name. */
const running = new Map();
let stopping = false;

function fail(message) {
  console.error(message);
  stop(1);
}

/** Starts a program, and reports when it ends by itself. */
function start(name, program, args, stdio, env = process.env) {
  // Detached, so that Ctrl-C signals this script only, which then stops the others in order.
  const child = spawn(program, args, { stdio, env, detached: true });
  running.set(name, child);
  child.once("error", (error) => fail(`${name}: ${program} failed to start: ${error.message}`));
  child.once("exit", (code, signal) => {
    running.delete(name);
    if (!stopping) console.log(`${name} has ended (${signal ?? `exit code ${code}`}); the others continue`);
  });
  return child;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Polls `probe` until it returns a value, and resolves with that. Rejects after a timeout. */
async function until(what, probe) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = await probe();
    if (value || stopping) return value;
    if (Date.now() > deadline) throw new Error(`${what} took more than ${TIMEOUT_MS / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function startRedis(folder) {
  const port = await freePort();
  const args = [here("redis.conf"), "--port", String(port), "--bind", "127.0.0.1", "--dir", folder];
  start("redis", "redis-server", args, "ignore").once("error", () =>
    console.error("redis-server comes with the package redis-server (Debian, Ubuntu) or redis (Homebrew)"),
  );
  const pings = () =>
    new Promise((resolve) => {
      execFile("redis-cli", ["-p", String(port), "ping"], (_, answer = "") => resolve(answer.startsWith("PONG")));
    });
  await until("starting Redis", pings);
  return `redis://127.0.0.1:${port}`;
}

async function startNode(name, redis) {
  const args = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--redis-url", redis];
  // The balancer forwards client addresses.
  const env = { ...process.env, WEIR_SERVER__TRUSTED_PROXIES: "127.0.0.1" };
  const child = start(name, options.binary, args, ["ignore", "ignore", "pipe"], env);
  let listening;
  createInterface({ input: child.stderr }).on("line", (line) => {
    const record = parsed(line);
    if (record?.message === "listening") listening = record;
    if (record?.level !== "INFO") console.log(`${name}: ${line}`);
  });
  const { listen, ops_listen: ops } = await until(`starting ${name}`, () => listening);
  await until(`connecting ${name} to Redis`, () =>
    fetch(`http://${ops}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return { name, pid: child.pid, listen, ops };
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Stops everything, nodes before Redis, so that their members leave. */
async function stop(code = 0) {
  if (stopping) return;
  stopping = true;
  const end = (name) => {
    const child = running.get(name);
    if (!child) return undefined;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    // SIGINT: without a drain, since all nodes end.
    child.kill(name === "redis" ? "SIGTERM" : "SIGINT");
    const kill = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    return gone.finally(() => clearTimeout(kill));
  };
  await Promise.all([...running.keys()].filter((name) => name !== "redis").map(end));
  await end("redis");
  await rm(folder, { recursive: true, force: true });
  process.exit(code);
}

const folder = await mkdtemp(join(tmpdir(), "weir-cluster-"));
process.once("SIGINT", () => stop());
process.once("SIGTERM", () => stop());
try {
  const redis = await startRedis(folder);
  const names = Array.from({ length: Number(options.nodes) }, (_, index) => `node ${index + 1}`);
  const nodes = await Promise.all(names.map((name) => startNode(name, redis)));
  const { port } = await balance(nodes, Number(options.port));
  console.log(`redis   ${redis}   process ${running.get("redis")?.pid}`);
  for (const { name, listen, ops, pid } of nodes) {
    console.log(`${name}  http://${listen}   operations http://${ops}   process ${pid}`);
  }
  console.log(`\nopen http://localhost:${port}; Ctrl-C stops all`);
} catch (error) {
  fail(error.code === "EADDRINUSE" ? `port ${options.port} is in use; choose another one with --port` : error.message);
}
