import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";

/** Variables that disable draining, unless a test wants it. */
const AT_ONCE = { WEIR_DRAIN__PAUSE_MS: "0", WEIR_DRAIN__WINDOW_MS: "0", WEIR_DRAIN__DEADLINE_MS: "0" };

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Binary under test; `WEIR_BIN` overrides it. */
export const BINARY = process.env.WEIR_BIN ?? `${ROOT}target/debug/weir`;

/** Running `weir serve`. */
class Node {
  #process;
  #exit;
  #killed = false;
  /** True once the node was asked to stop. A second signal would end it at once, with exit code 1. */
  #stopping = false;
  #patienceMs;
  #logs = [];

  constructor(env, { listen, opsListen }, { under, patienceMs }) {
    this.#patienceMs = patienceMs;
    // A node refuses unknown keys, so it must not inherit the tests' own WEIR_ variables.
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("WEIR_"));
    const [program, ...args] = [...under, BINARY, "serve", "--listen", listen, "--ops-listen", opsListen];
    this.#process = spawn(program, args, {
      env: { ...Object.fromEntries(inherited), ...AT_ONCE, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#exit = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("close", (code, signal) => resolve({ code, signal }));
    });
    // An unawaited failure must not end the test run.
    this.#exit.catch(() => {});
  }

  get pid() {
    return this.#process.pid;
  }

  /** Resolves with `{ code, signal }` when the process has ended. */
  get exit() {
    return this.#exit;
  }

  /** Standard error so far. */
  get logs() {
    return this.#logs.join("\n");
  }

  /** Waits until the node logs its addresses. */
  async listening() {
    const up = new Promise((resolve) => {
      createInterface({ input: this.#process.stderr }).on("line", (line) => {
        this.#logs.push(line);
        const record = parsed(line);
        if (record?.message === "listening") resolve(record);
      });
    });
    const gone = this.#exit.then(({ code, signal }) => {
      throw new Error(`${BINARY} ended (${signal ?? code}) before it listened:\n${this.logs}`);
    });
    const { listen, ops_listen: opsListen } = await within("the node listens", Promise.race([up, gone]), this.#patienceMs);
    gone.catch(() => {});
    this.url = `http://${listen}`;
    this.opsUrl = `http://${opsListen}`;
    return this;
  }

  signal(name) {
    this.#stopping ||= ["SIGTERM", "SIGINT"].includes(name);
    this.#process.kill(name);
  }

  /** Kills the node with SIGKILL. */
  async kill() {
    this.#killed = true;
    this.signal("SIGKILL");
    await this.#exit;
  }

  /** Stops the node with SIGTERM, unless it is stopping already, and asserts that it exits with 0. */
  async stop() {
    if (this.#killed) return;
    if (!this.#stopping) this.signal("SIGTERM");
    try {
      const { code, signal } = await within("the node stops", this.#exit, this.#patienceMs);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.logs);
    } catch (error) {
      this.signal("SIGKILL");
      throw error;
    }
  }

  /** Resets the peak of resident memory that `memory` returns. */
  async resetPeak() {
    await writeFile(`/proc/${this.pid}/clear_refs`, "5");
  }

  /** Returns current and peak resident memory in bytes. */
  async memory() {
    const status = await readFile(`/proc/${this.pid}/status`, "utf8");
    const bytes = (key) => Number(status.match(new RegExp(`^${key}:\\s+(\\d+) kB`, "m"))[1]) * 1024;
    return { resident: bytes("VmRSS"), peak: bytes("VmHWM") };
  }
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const ANYWHERE = { listen: "127.0.0.1:0", opsListen: "127.0.0.1:0" };

/**
 * Starts a node for the test `t`, by default on free ports. Stops it at the end of the test. `under` is a command that
 * runs the binary, such as a profiler, which may need more patience.
 */
export async function startNode(t, env = {}, where = ANYWHERE, { under = [], patienceMs } = {}) {
  const node = new Node(env, where, { under, patienceMs });
  atEnd(t, () => node.stop());
  return node.listening();
}
