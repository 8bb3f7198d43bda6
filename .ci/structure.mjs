// Checks the shape of the tree: the length of files, the size of folders, import cycles, ambiguous type names.
//
//     node .ci/structure.mjs [path...]
//
// Paths restrict the report to faults that concern them.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { faultsOf } from "./structure/faults.mjs";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const paths = process.argv.slice(2).map((path) => path.replace(/^\.\/|\/$/g, ""));

/** Returns every file of the working tree that git does not ignore, by its path from the root. */
function readTree() {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8" });
  const files = listed.split("\0").filter((path) => path !== "" && existsSync(ROOT + path));
  return new Map(files.sort().map((path) => [path, readFileSync(ROOT + path, "utf8")]));
}

const asked = (file) => paths.length === 0 || paths.some((path) => path === "." || file === path || file.startsWith(`${path}/`));
const faults = faultsOf(readTree()).filter(({ files }) => files.some(asked));
for (const { check, message } of faults) console.error(`${check}: ${message}`);
process.exitCode = faults.length === 0 ? 0 : 1;
