import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { temporaryFolder } from "../harness/folder.mjs";
import { startNode } from "../servers/node.mjs";

/** Maximum wait for a node under Valgrind, which slows it down fifty times. */
const PATIENCE_MS = 120_000;

/** Settings of a counted node: one worker thread, no rate limit. */
const SETTINGS = {
  TOKIO_WORKER_THREADS: "1",
  WEIR_LIMITS__CHUNKS_PER_SECOND: "1000000",
  WEIR_LIMITS__INGEST_BITS_PER_SECOND: "100000000000",
};

/** Node under callgrind, which counts its instructions. */
class CountedNode {
  #node;
  #profile;

  constructor(node, profile) {
    this.#node = node;
    this.#profile = profile;
    this.url = node.url;
    this.opsUrl = node.opsUrl;
  }

  /** Stops the node. Returns its instructions from start to end. */
  async stop() {
    await this.#node.stop();
    const profile = await readFile(this.#profile, "utf8");
    return Number(profile.match(/^(?:summary|totals): (\d+)/m)[1]);
  }

  /** Copies the profile, which `callgrind_annotate` reads, from the temporary folder. */
  async keepProfile(path) {
    await mkdir(dirname(path), { recursive: true });
    await copyFile(this.#profile, path);
  }
}

/** Starts a node under callgrind, which ends with the test `t`. */
export async function startCountedNode(t, env = {}) {
  const profile = `${await temporaryFolder(t, "count")}/profile`;
  const under = ["valgrind", "--tool=callgrind", `--callgrind-out-file=${profile}`];
  const node = await startNode(t, { ...SETTINGS, ...env }, undefined, { under, patienceMs: PATIENCE_MS });
  return new CountedNode(node, profile);
}
