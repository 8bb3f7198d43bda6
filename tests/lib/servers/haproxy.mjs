import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "../harness/folder.mjs";
import { tool } from "../harness/tools.mjs";
import { freePort } from "../network/ports.mjs";
import { startProgram } from "./program.mjs";

/**
 * Starts HAProxy in front of a node for the test `t`, and returns its URL. `mode` is `tcp` or `http`, `frontend` has
 * more lines of the frontend, and `server` is the end of the node's `server` line.
 */
export async function startHaproxy(t, node, { mode, frontend = [], server = "" }) {
  const folder = await temporaryFolder(t, "haproxy");
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
  await startProgram(t, tool("haproxy"), ["-db", "-f", join(folder, "haproxy.cfg")], { ports: [port] });
  return `http://127.0.0.1:${port}`;
}
