import { spawn } from "node:child_process";
import { atEnd } from "../harness/at-end.mjs";
import { eventually } from "../harness/eventually.mjs";
import { isOpen } from "../network/ports.mjs";

/**
 * Starts a server program and waits until it listens on all `ports` of the loopback. Kills it at the end of the
 * test `t`. The result's `output` has all that it has printed so far.
 */
export async function startProgram(t, command, args, { ports, env = process.env }) {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const program = { output: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (program.output += text));
  let ended;
  const closed = new Promise((resolve) => {
    child.once("error", (error) => resolve((ended = error.message)));
    child.once("close", (code, signal) => resolve((ended = signal ?? `exit code ${code}`)));
  });
  atEnd(t, async () => {
    child.kill("SIGKILL");
    await closed;
  });
  for (const port of ports) {
    await eventually(`${command} listens on port ${port}`, () => {
      if (ended !== undefined) throw new Error(`${command} ended early (${ended}):\n${program.output}`);
      return isOpen(port);
    });
  }
  return program;
}
