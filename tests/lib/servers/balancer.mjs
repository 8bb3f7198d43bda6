import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";
import { eventually } from "../harness/eventually.mjs";
import { freePort, isOpen } from "../network/ports.mjs";
import { tool } from "../harness/tools.mjs";

export const CONFIGURATION = fileURLToPath(new URL("../../../deploy/haproxy.cfg", import.meta.url));

/** Starts HAProxy with the configuration that is shipped; what it said is in `said`. */
export async function startBalancer(t, { resolver, gateways, operationsPort }) {
  const port = await freePort();
  const process_ = spawn(tool("haproxy"), ["-db", "-f", CONFIGURATION], {
    env: {
      ...process.env,
      RESOLVER: resolver,
      GATEWAYS: gateways,
      OPERATIONS_PORT: String(operationsPort),
      ADDRESS: `127.0.0.1:${port}`,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = new Promise((resolve) => process_.once("close", resolve));
  atEnd(t, () => {
    process_.kill("SIGKILL");
    return closed;
  });
  const balancer = { url: `http://127.0.0.1:${port}`, said: "" };
  for (const stream of [process_.stdout, process_.stderr]) stream.on("data", (text) => (balancer.said += text));
  await eventually(`the balancer listens: ${balancer.said}`, () => isOpen(port));
  return balancer;
}
