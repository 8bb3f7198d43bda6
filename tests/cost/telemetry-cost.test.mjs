// What telemetry costs per delivered chunk, counted in instructions, which other load on the machine does not change.
//
// WEIR_TEST_COST_CHUNKS sets how many chunks are counted; without it, 2,000. WEIR_BIN names another binary.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { atEnd } from "../lib/harness/at-end.mjs";
import { startCollector } from "../lib/servers/collector.mjs";
import { within } from "../lib/harness/eventually.mjs";
import { BINARY } from "../lib/servers/node.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const CHUNKS = Number(process.env.WEIR_TEST_COST_CHUNKS ?? 2_000);
const SUBSCRIBERS = 10;
const BYTES = 1_200;
const MOST = 1.03;
const PATIENCE_MS = 600_000;

/** Counts the instructions of a node that hands so many chunks to every subscriber, its start and end included. */
async function count(t, chunks, env) {
  const folder = await mkdtemp(join(tmpdir(), "weir-cost-"));
  atEnd(t, () => rm(folder, { recursive: true, force: true }));
  const counted = ["--tool=callgrind", `--callgrind-out-file=${folder}/out`, BINARY];
  const quiet = { WEIR_DRAIN__PAUSE_MS: "0", WEIR_DRAIN__DEADLINE_MS: "0", WEIR_DRAIN__WINDOW_MS: "0", TOKIO_WORKER_THREADS: "1" };
  const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("WEIR_"));
  const child = spawn("valgrind", [...counted, "serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"], {
    env: { ...Object.fromEntries(inherited), ...quiet, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const gone = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  atEnd(t, () => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stderr });
  const said = [];
  lines.on("line", (line) => said.push(line));
  const listen = await within(
    "the node listens",
    Promise.race([
      new Promise((resolve) => {
        lines.on("line", (line) => {
          const address = line.match(/"message":"listening","listen":"([^"]+)"/)?.[1];
          if (address) resolve(address);
        });
      }),
      gone.then((code) => Promise.reject(new Error(`valgrind ended with ${code}`))),
    ]),
    120_000,
  );
  const peers = [];
  for (let index = 0; index <= SUBSCRIBERS; index++) {
    peers.push(await SocketPeer.connect(t, `http://${listen}`, "websocket", `peer ${index}`));
  }
  const [publisher, ...subscribers] = peers;
  const { room } = await publisher.request("room:create");
  for (const peer of peers) await peer.join(room.id);
  const { track } = await publisher.request("track:publish", { kind: "audio", codec: "opus" });
  const payload = Buffer.alloc(BYTES);
  let heard = 0;
  const all = new Promise((resolve) => {
    for (const { socket } of subscribers) {
      socket.offAny();
      socket.on("media", () => {
        heard += 1;
        if (heard === chunks * SUBSCRIBERS) resolve();
      });
    }
  });
  // One after the other, so that each run does the same.
  for (let index = 0; index < chunks; index++) await publisher.request("media", { track: track.id, ts: index }, payload);
  await within("all have come", all, PATIENCE_MS);
  child.kill("SIGTERM");
  const code = await within("the node ends", gone, 120_000);
  assert.equal(code, 0, said.slice(-20).join("\n"));
  const total = (await readFile(`${folder}/out`, "utf8")).match(/^(?:summary|totals): (\d+)/m);
  return Number(total[1]);
}

/** The instructions of one delivered chunk: what a longer run takes more. */
async function cost(t, env) {
  const unlimited = { WEIR_LIMITS__CHUNKS_PER_SECOND: "1000000", WEIR_LIMITS__INGEST_BITS_PER_SECOND: "100000000000" };
  const short = await count(t, CHUNKS / 2, { ...unlimited, ...env });
  const long = await count(t, (CHUNKS * 3) / 2, { ...unlimited, ...env });
  return (long - short) / (CHUNKS * SUBSCRIBERS);
}

test("telemetry costs less than 3 % of a delivered chunk's instructions", { timeout: 2_400_000 }, async (t) => {
  const collector = await startCollector(t);
  const off = await cost(t, {});
  const on = await cost(t, { WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc, WEIR_TELEMETRY__CHUNK_SAMPLING: String(Math.min(10_000, CHUNKS / 2)) });
  t.diagnostic(`instructions per delivered chunk: ${off.toFixed(0)} without, ${on.toFixed(0)} with telemetry: ${(100 * (on / off - 1)).toFixed(2)} % more`);
  assert.ok(on / off < MOST);
});
