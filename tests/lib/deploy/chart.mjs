import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { tool } from "../harness/tools.mjs";

export const CHART = fileURLToPath(new URL("../../../helm/weir", import.meta.url));

/** Runs Helm with these values in a file. */
export function helm(args, values = {}) {
  const { status, stdout, stderr } = spawnSync(tool("helm"), [...args, "--values", "-"], {
    input: JSON.stringify(values),
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  return { status, stdout, stderr };
}

/** Renders the chart with `values`. */
export function render(values, ...args) {
  const { status, stdout, stderr } = helm(["template", "live", CHART, "--namespace", "calls", ...args], values);
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** Parses the rendered objects. */
export const objects = (text) =>
  parseAllDocuments(text)
    .map((document) => document.toJSON())
    .filter(Boolean);

/** Returns the only object of a kind whose name ends with `end`. */
export function object(text, kind, end = "") {
  const found = objects(text).filter((each) => each.kind === kind && each.metadata.name.endsWith(end));
  if (found.length !== 1) throw new Error(`${found.length} objects are a ${kind} …${end}`);
  return found[0];
}

/** Returns the chart's error message for `values`, which it must refuse. */
export function refusal(values, ...args) {
  const { status, stdout, stderr } = helm(["template", "live", CHART, ...args], values);
  if (status === 0) throw new Error(`accepted: ${JSON.stringify(values)}\n${stdout}`);
  return stderr;
}
