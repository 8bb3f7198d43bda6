import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../harness/folder.mjs";
import { tool } from "../harness/tools.mjs";
import { freePort } from "../network/ports.mjs";
import { startProgram } from "./program.mjs";

/** Shipped configuration. */
export const CONFIGURATION = fileURLToPath(new URL("../../../deploy/observability/collector.yaml", import.meta.url));

/** Starts the OpenTelemetry collector with the shipped configuration on free ports, for the test `t`. */
export async function startShippedCollector(t, env) {
  const folder = await temporaryFolder(t, "collector");
  const [grpc, http] = [await freePort(), await freePort()];
  const endpoints = `{ receivers: { otlp: { protocols: {
    grpc: { endpoint: "127.0.0.1:${grpc}" }, http: { endpoint: "127.0.0.1:${http}" } } } } }`;
  await writeFile(join(folder, "ports.yaml"), endpoints);
  const args = ["--config", CONFIGURATION, "--config", join(folder, "ports.yaml")];
  const collector = await startProgram(t, tool("otelcol"), args, { ports: [grpc, http], env: { ...process.env, ...env } });
  return Object.assign(collector, { grpc: `http://127.0.0.1:${grpc}`, http: `http://127.0.0.1:${http}` });
}
