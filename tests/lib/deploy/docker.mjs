import { execFile, execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort } from "../network/ports.mjs";
import { metrics } from "../servers/metrics.mjs";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const run = promisify(execFile);

/** Runs Docker to its end and returns its output. */
export const docker = (...args) => execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

/** Instance of docker-compose.yml on a free port, in a project of its own. */
class Composition {
  constructor(port) {
    this.url = `http://localhost:${port}`;
    this.env = { ...process.env, WEIR_PORT: String(port), COMPOSE_PROJECT_NAME: "weir-test", BUILDKIT_PROGRESS: "plain" };
  }

  async compose(...args) {
    const { stdout } = await run("docker", ["compose", ...args], { cwd: ROOT, env: this.env, maxBuffer: 64 << 20 });
    return stdout.trim();
  }

  /** Starts all services, or those given, and waits until they are healthy. */
  up(...args) {
    return this.compose("up", "--wait", "--no-recreate", ...args);
  }

  async down() {
    await this.compose("--profile", "observability", "down", "--volumes", "--timeout", "5");
  }

  /** Returns the containers of a service. */
  async containers(service) {
    const ids = (await this.compose("ps", "--quiet", service)).split("\n").filter(Boolean);
    return ids.map((id) => {
      const [{ Name, NetworkSettings }] = JSON.parse(docker("inspect", id));
      return { id, name: Name.slice(1), address: NetworkSettings.Networks["weir-test_default"]?.IPAddress };
    });
  }

  /** Returns the number of clients of each gateway, by container. */
  async sessions() {
    const counts = new Map();
    for (const { name, address } of await this.containers("gateway")) {
      counts.set(name, (await metrics({ opsUrl: `http://${address}:8081` })).weir_sessions);
    }
    return counts;
  }

  /** Returns the logs of a service. */
  logs(service) {
    return this.compose("logs", "--no-color", service);
  }
}

/** Makes a composition for a test file, whose `after` hook must call `down`. */
export async function composition() {
  return new Composition(await freePort());
}
