import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "../harness/at-end.mjs";
import { eventually } from "../harness/eventually.mjs";
import { freePort, isOpen } from "../network/ports.mjs";
import { tool } from "../harness/tools.mjs";

/**
 * Starts HAProxy in front of a node, for the test `t`: `mode` is `tcp` or `http`, `frontend` holds more lines
 * of the frontend, and `server` is the end of the node's `server` line. Resolves with its URL.
 */
export async function startHaproxy(t, node, { mode, frontend = [], server = "" }) {
  const folder = await mkdtemp(join(tmpdir(), "weir-haproxy-"));
  const port = await freePort();
  const { host } = new URL(node.url);
  const config = [
    "defaults",
    `    mode ${mode}`,
    "    timeout connect 5s",
    "    timeout client 75s",
    "    timeout server 75s",
    "    timeout tunnel 75s",
    "frontend clients",
    `    bind 127.0.0.1:${port}`,
    ...frontend.map((line) => `    ${line}`),
    "    default_backend nodes",
    "backend nodes",
    `    server node ${host} ${server}`,
    "",
  ];
  await writeFile(join(folder, "haproxy.cfg"), config.join("\n"));
  const child = spawn(tool("haproxy"), ["-db", "-f", join(folder, "haproxy.cfg")], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const closed = new Promise((resolve) => child.once("close", resolve));
  atEnd(t, async () => {
    child.kill("SIGKILL");
    await closed;
    await rm(folder, { recursive: true });
  });
  await eventually(`HAProxy listens: ${said}`, () => isOpen(port));
  return `http://127.0.0.1:${port}`;
}
