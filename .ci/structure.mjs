// Checks the shape of the tree: the length of files, the size of folders, import cycles, ambiguous type names.
//
//     node .ci/structure.mjs [--list] [path...]
//
// Paths restrict the report to faults that concern them. `--list` also reports the checks that are not enforced yet,
// and always succeeds.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { faultsOf } from "./structure/faults.mjs";

/** The checks that fail the build. */
const ENFORCED = new Set([]);

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const options = process.argv.slice(2);
const list = options.includes("--list");
const paths = options.filter((option) => option !== "--list").map((path) => path.replace(/^\.\/|\/$/g, ""));

/** Returns every file of the working tree that git does not ignore, by its path from the root. */
function readTree() {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8" });
  const files = listed.split("\0").filter((path) => path !== "" && existsSync(ROOT + path));
  return new Map(files.sort().map((path) => [path, readFileSync(ROOT + path, "utf8")]));
}

const asked = (file) => paths.length === 0 || paths.some((path) => path === "." || file === path || file.startsWith(`${path}/`));
const shown = faultsOf(readTree()).filter(
  ({ check, files }) => files.some(asked) && (list || paths.length > 0 || ENFORCED.has(check)),
);
for (const { check, message } of shown) console.error(`${check}: ${message}`);
process.exitCode = list || shown.length === 0 ? 0 : 1;
