import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";
import { temporaryFolder } from "../harness/folder.mjs";
import { BINARY } from "../servers/node.mjs";

/** Maximum wait for a node under Valgrind, which slows it down fifty times. */
const PATIENCE_MS = 120_000;

/** Settings of a counted node: one worker thread, no drain, no rate limit. */
const SETTINGS = {
  TOKIO_WORKER_THREADS: "1",
  WEIR_DRAIN__PAUSE_MS: "0",
  WEIR_DRAIN__DEADLINE_MS: "0",
  WEIR_DRAIN__WINDOW_MS: "0",
  WEIR_LIMITS__CHUNKS_PER_SECOND: "1000000",
  WEIR_LIMITS__INGEST_BITS_PER_SECOND: "100000000000",
};

/** Node under callgrind, which counts its instructions. */
class CountedNode {
  #process;
  #exit;
  #folder;
  #logs = [];

  constructor(folder, env) {
    this.#folder = folder;
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("WEIR_"));
    const command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    this.#process = spawn("valgrind", ["--tool=callgrind", `--callgrind-out-file=${folder}/profile`, ...command], {
      env: { ...Object.fromEntries(inherited), ...SETTINGS, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#exit = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("close", resolve);
    });
    this.#exit.catch(() => {});
  }

  /** Waits until the node listens. */
  async listening() {
    const lines = createInterface({ input: this.#process.stderr });
    const up = new Promise((resolve) => {
      lines.on("line", (line) => {
        this.#logs.push(line);
        const listen = line.match(/"message":"listening","listen":"([^"]+)","ops_listen":"([^"]+)"/);
        if (listen) resolve(listen);
      });
    });
    const ended = this.#exit.then((code) => Promise.reject(new Error(`valgrind ended with ${code}:\n${this.#tail()}`)));
    const [, listen, opsListen] = await within("the counted node listens", Promise.race([up, ended]), PATIENCE_MS);
    ended.catch(() => {});
    this.url = `http://${listen}`;
    this.opsUrl = `http://${opsListen}`;
    return this;
  }

  /** Stops the node; returns its instructions from start to end. */
  async stop() {
    this.#process.kill("SIGTERM");
    assert.equal(await within("the counted node ends", this.#exit, PATIENCE_MS), 0, this.#tail());
    const profile = await readFile(`${this.#folder}/profile`, "utf8");
    return Number(profile.match(/^(?:summary|totals): (\d+)/m)[1]);
  }

  /** Copies the profile, which `callgrind_annotate` reads, from the temporary folder. */
  async keepProfile(path) {
    await mkdir(dirname(path), { recursive: true });
    await copyFile(`${this.#folder}/profile`, path);
  }

  kill() {
    this.#process.kill("SIGKILL");
  }

  #tail() {
    return this.#logs.slice(-20).join("\n");
  }
}

/** Starts a node under callgrind. Kills it at the end of the test `t`. */
export async function startCountedNode(t, env = {}) {
  const node = new CountedNode(await temporaryFolder(t, "count"), env);
  atEnd(t, () => node.kill());
  return node.listening();
}
