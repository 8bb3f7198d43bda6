import { execFile, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { atEnd } from "../harness/at-end.mjs";
import { eventually } from "../harness/eventually.mjs";
import { temporaryFolder } from "../harness/folder.mjs";
import { freePort } from "../network/ports.mjs";

const run = promisify(execFile);

/** Recommended configuration. */
const CONFIG = fileURLToPath(new URL("../../../deploy/redis.conf", import.meta.url));

/** Redis process, which keeps its port when it is restarted. */
class Redis {
  #program;
  #options;
  #process;

  constructor(program, port, folder, options) {
    this.#program = program;
    this.port = port;
    this.folder = folder;
    this.#options = options;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#process.pid;
  }

  /** Starts an empty Redis. */
  async start() {
    const secure = "tls-ca-cert-file" in this.#options;
    const ports = secure ? { port: 0, "tls-port": this.port } : { port: this.port };
    const settings = { ...ports, bind: "127.0.0.1", dir: this.folder, ...this.#options };
    const given = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, ...[value].flat().map(String)]);
    this.#process = spawn(this.#program, [CONFIG, ...given], { stdio: "ignore" });
    this.#process.once("error", (error) => {
      throw new Error(`${this.#program} cannot be run (tests/setup.sh installs it): ${error.message}`);
    });
    await eventually(`Redis answers on port ${this.port}`, () => this.cli("ping").then((pong) => pong === "PONG"));
    return this;
  }

  /** Returns the output of `redis-cli`; empty if Redis is down. */
  async cli(...args) {
    try {
      const tls = this.#options["tls-ca-cert-file"];
      const secure = tls ? ["--tls", "--cacert", tls] : [];
      const { stdout } = await run("redis-cli", ["-p", String(this.port), ...secure, ...args]);
      return stdout.trim();
    } catch {
      return "";
    }
  }

  /** Kills Redis with SIGKILL. */
  async kill() {
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null || signalCode !== null) return;
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await gone;
  }
}

/** Starts a Redis until the end of the test `t`. */
export async function startRedis(t, options = {}, program = "redis-server") {
  const folder = await temporaryFolder(t, "redis");
  const redis = new Redis(program, await freePort(), folder, options);
  atEnd(t, () => redis.kill());
  return redis.start();
}
