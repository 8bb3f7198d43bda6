import { execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";
import { eventually, within } from "../harness/eventually.mjs";
import { freePort, isOpen } from "../network/ports.mjs";

/** Returns the package folder of the Python environment. */
function packages() {
  const python = fileURLToPath(new URL("../../.venv/bin/python", import.meta.url));
  return execFileSync(python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], { encoding: "utf8" }).trim();
}

/** Collector that prints all received spans, or all records of another signal. */
class Collector {
  /** Printed lines. */
  lines = [];
  #signal;
  #process;

  constructor(signal, ports) {
    this.#signal = signal;
    [this.grpc, this.http] = ports.map((port) => `http://127.0.0.1:${port}`);
    this.ports = ports;
  }

  async start() {
    const [grpc, http] = this.ports.map((port) => `127.0.0.1:${port}`);
    const args = ["start", "--exporter", "blackhole", "--debug-log", this.#signal, "--debug-log-verbosity", "detailed"];
    this.#process = spawn(
      `${packages()}/rotel/rotel-agent`,
      [...args, "--otlp-grpc-endpoint", grpc, "--otlp-http-endpoint", http],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const up = new Promise((resolve, reject) => {
      for (const stream of [this.#process.stdout, this.#process.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          this.lines.push(line);
          if (line.includes("Starting Rotel")) resolve();
        });
      }
      this.#process.once("error", reject);
      this.#process.once("close", (code) => reject(new Error(`the collector ended with ${code}: ${this.lines.join("\n")}`)));
    });
    await within("the collector is up", up);
    for (const port of this.ports) await eventually(`port ${port} is open`, () => isOpen(port));
    return this;
  }

  signal(name) {
    this.#process.kill(name);
  }

  async stop() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#process.once("close", resolve));
    this.signal("SIGKILL");
    await gone;
  }

  /** Returns all received values of a metric across its attributes, the oldest first. */
  values(metric) {
    const values = [];
    let name;
    for (const line of this.lines) {
      const [, named] = line.match(/^ +-> Name: (\S+)$/) ?? [];
      const [, value] = line.match(/^ *Value: (\S+)$/) ?? [];
      if (named) name = named;
      else if (value && name === metric) values.push(Number(value));
    }
    return values;
  }

  /** Spans received so far. */
  get spans() {
    const spans = [];
    let instance;
    let span;
    for (const line of this.lines) {
      const attribute = line.match(/^ +-> (\S+): \w+\((.*)\)$/);
      const field = line.match(/^ *(Trace ID|Parent ID|ID|Name|Start time|End time|Status code) *: (.*)$/);
      if (line.startsWith("ResourceSpans")) {
        span = undefined;
        instance = undefined;
      } else if (line.startsWith("Span #")) {
        span = { instance, attributes: {} };
        spans.push(span);
      } else if (attribute && span) span.attributes[attribute[1]] = attribute[2];
      else if (attribute?.[1] === "service.instance.id") instance = attribute[2];
      else if (field && span) span[field[1]] = field[1].endsWith("time") ? BigInt(field[2]) : field[2];
    }
    return spans;
  }
}

/** Starts a collector that prints one signal, for the test `t`. */
export async function startCollector(t, signal = "traces") {
  const collector = new Collector(signal, [await freePort(), await freePort()]);
  atEnd(t, () => collector.stop());
  return collector.start();
}
