import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";
import { eventually } from "../harness/eventually.mjs";
import { freePort, isOpen } from "../network/ports.mjs";
import { tool } from "../harness/tools.mjs";

/** The configuration that is shipped. */
export const CONFIGURATION = fileURLToPath(new URL("../../../deploy/observability/collector.yaml", import.meta.url));

/**
 * Starts the OpenTelemetry collector with the configuration that is shipped, on free ports, for the test `t`.
 * What it prints is in `said`.
 */
export async function startShippedCollector(t, env) {
  const folder = await mkdtemp(join(tmpdir(), "weir-collector-"));
  const [grpc, http] = [await freePort(), await freePort()];
  const ports = `{ receivers: { otlp: { protocols: {
    grpc: { endpoint: "127.0.0.1:${grpc}" }, http: { endpoint: "127.0.0.1:${http}" } } } } }`;
  await writeFile(join(folder, "ports.yaml"), ports);
  const collector = spawn(tool("otelcol"), ["--config", CONFIGURATION, "--config", join(folder, "ports.yaml")], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const closed = new Promise((resolve) => collector.once("close", resolve));
  atEnd(t, async () => {
    collector.kill();
    await closed;
    await rm(folder, { recursive: true });
  });
  const started = { grpc: `http://127.0.0.1:${grpc}`, http: `http://127.0.0.1:${http}`, said: "" };
  collector.stderr.on("data", (text) => {
    started.said += text;
  });
  for (const port of [grpc, http]) await eventually(`the collector listens on ${port}`, () => isOpen(port));
  return started;
}
