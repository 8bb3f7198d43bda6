import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";

/** Nobody is to be moved anywhere, unless a test wants it. */
const AT_ONCE = { WEIR_DRAIN__PAUSE_MS: "0", WEIR_DRAIN__WINDOW_MS: "0", WEIR_DRAIN__DEADLINE_MS: "0" };

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The binary under test; `WEIR_BIN` names another. */
export const BINARY = process.env.WEIR_BIN ?? `${ROOT}target/debug/weir`;

/** A running `weir serve`. */
class Node {
  #process;
  #exit;
  #killed = false;
  #logs = [];

  constructor(env, { listen, opsListen }) {
    // A node refuses keys it does not know, so the tests' own WEIR_ variables stay here.
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("WEIR_"));
    this.#process = spawn(
      BINARY,
      ["serve", "--listen", listen, "--ops-listen", opsListen],
      { env: { ...Object.fromEntries(inherited), ...AT_ONCE, ...env }, stdio: ["ignore", "ignore", "pipe"] },
    );
    this.#exit = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("close", (code, signal) => resolve({ code, signal }));
    });
    // Whoever awaits it sees the error; nobody awaiting it is no reason to end the test run.
    this.#exit.catch(() => {});
  }

  get pid() {
    return this.#process.pid;
  }

  /** Resolves with `{ code, signal }` when the process is gone. */
  get exit() {
    return this.#exit;
  }

  /** What the node wrote to stderr so far, a line each. */
  get logs() {
    return this.#logs.join("\n");
  }

  /** Waits for the line that says where the node listens. */
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
    const { listen, ops_listen: opsListen } = await within("the node listens", Promise.race([up, gone]));
    gone.catch(() => {});
    this.url = `http://${listen}`;
    this.opsUrl = `http://${opsListen}`;
    return this;
  }

  signal(name) {
    this.#process.kill(name);
  }

  /** SIGKILL: nothing is told to anybody. */
  async kill() {
    this.#killed = true;
    this.signal("SIGKILL");
    await this.#exit;
  }

  /** SIGTERM; a node that does not end by itself with 0 is a defect. */
  async stop() {
    if (this.#killed) return;
    this.signal("SIGTERM");
    try {
      const { code, signal } = await within("the node ends after SIGTERM", this.#exit);
      assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.logs);
    } catch (error) {
      this.signal("SIGKILL");
      throw error;
    }
  }

  /** Forgets the peak of resident memory, so that `memory` tells the peak from here on. */
  async resetPeak() {
    await writeFile(`/proc/${this.pid}/clear_refs`, "5");
  }

  /** Resident memory in bytes: now, and at its peak. */
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

/** Starts a node, on free ports if not told where, for the test `t`, which also ends it and looks at how it ended. */
export async function startNode(t, env = {}, where = ANYWHERE) {
  const node = new Node(env, where);
  atEnd(t, () => node.stop());
  return node.listening();
}
