import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";
import { Peer } from "./peer.mjs";

/** Folder of the tests. */
export const TESTS = fileURLToPath(new URL("../../", import.meta.url));

/** Client in a process of its own, controlled by JSON lines over its pipes. */
export class ProcessPeer extends Peer {
  #process;
  #asked = new Map();
  #next = 1;
  #errors = "";

  constructor(label, program, ...args) {
    super(label);
    this.#process = spawn(program, args);
    this.#process.stderr.on("data", (text) => (this.#errors += text));
    this.exit = new Promise((resolve) => this.#process.once("close", resolve));
    this.failed = new Promise((_, reject) => {
      this.#process.once("error", reject);
      this.exit.then(() => reject(new Error(`${label} ended: ${this.#errors}`)));
    });
    this.failed.catch(() => {});
    // `failed` reports a write to a process that has exited.
    this.#process.stdin.on("error", () => {});
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      const { event, args, answer, value } = JSON.parse(line, revive);
      if (event !== undefined) return this.tell(event, args);
      this.#asked.get(answer)(value);
      this.#asked.delete(answer);
    });
  }

  /** Connects, only by `transports` if given; ends at the end of the test `t`. */
  async start(t, url, transports) {
    atEnd(t, () => this.kill());
    await this.command("connect", { url, transports });
    return this;
  }

  get pid() {
    return this.#process.pid;
  }

  ask(event, ...args) {
    return this.command("ask", { event, args });
  }

  emit(event, ...args) {
    this.#write({ command: "emit", event, args });
  }

  async close() {
    await this.command("close");
  }

  /** Kills the process, as an out-of-memory killer would. */
  async kill() {
    this.#process.kill("SIGKILL");
    await this.exit;
  }

  /** Stops the process, with its connection open. */
  freeze() {
    this.#process.kill("SIGSTOP");
  }

  /** Sends a command and resolves with its answer. */
  command(command, fields = {}) {
    const id = this.#next++;
    const answered = new Promise((resolve) => this.#asked.set(id, resolve));
    this.#write({ command, id, ...fields });
    const what = `${this.label}: ${fields.event ?? command} is answered`;
    return within(what, Promise.race([answered, this.failed]));
  }

  #write(line) {
    this.#process.stdin.write(`${JSON.stringify(line, replace)}\n`);
  }
}

/** Encodes bytes as `{"$bytes": base64}`. A replacer sees a Buffer only as plain JSON. */
function replace(_, value) {
  if (value?.type === "Buffer") return { $bytes: Buffer.from(value.data).toString("base64") };
  return value;
}

function revive(_, value) {
  return value?.$bytes === undefined ? value : Buffer.from(value.$bytes, "base64");
}
