import { fileURLToPath } from "node:url";
import { tool } from "../harness/tools.mjs";
import { freePort } from "../network/ports.mjs";
import { startProgram } from "./program.mjs";

export const CONFIGURATION = fileURLToPath(new URL("../../../deploy/haproxy.cfg", import.meta.url));

/** Starts HAProxy with the shipped configuration for the test `t`. */
export async function startBalancer(t, { resolver, gateways, operationsPort }) {
  const port = await freePort();
  const settings = {
    RESOLVER: resolver,
    GATEWAYS: gateways,
    OPERATIONS_PORT: String(operationsPort),
    ADDRESS: `127.0.0.1:${port}`,
  };
  const env = { ...process.env, ...settings };
  const balancer = await startProgram(t, tool("haproxy"), ["-db", "-f", CONFIGURATION], { ports: [port], env });
  return Object.assign(balancer, { url: `http://127.0.0.1:${port}` });
}
