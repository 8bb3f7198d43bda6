// Compares the dependencies between the crates, from `cargo metadata` on stdin, with the rules below.
import { readFileSync } from "node:fs";

/**
 * Dependencies that each crate may have on crates of this workspace: `uses` in the crate itself, `tests` in its tests
 * besides. A new crate gets its row here first.
 */
const ALLOWED = {
  "weir-protocol": { uses: [], tests: [] },
  "weir-core": { uses: ["weir-protocol"], tests: [] },
  // Its own tests run the contract suite, which is a feature.
  "weir-cluster": { uses: ["weir-protocol"], tests: ["weir-cluster"] },
  "weir-redis": { uses: ["weir-protocol", "weir-cluster"], tests: ["weir-testkit"] },
  "weir-engine": { uses: ["weir-protocol", "weir-core", "weir-cluster"], tests: [] },
  "weir-gateway": { uses: ["weir-protocol", "weir-core", "weir-cluster", "weir-redis", "weir-engine"], tests: [] },
  weir: { uses: ["weir-protocol", "weir-gateway"], tests: ["weir-testkit"] },
  // Independent of all other crates, so that it cannot share their mistakes.
  "weir-testkit": { uses: [], tests: [] },
};

/** The crate without IO, clock or randomness, and the libraries that would bring them in. */
const PURE = "weir-core";
const IMPURE = ["axum", "hyper", "rand", "socket2", "socketioxide", "tokio"];

const { packages } = JSON.parse(readFileSync(0, "utf8"));
const ours = new Set(packages.map(({ name }) => name));
const faults = Object.keys(ALLOWED)
  .filter((name) => !ours.has(name))
  .map((name) => `${name} has a row in .ci/dependencies.mjs, but is no crate`);

for (const { name, dependencies } of packages) {
  const row = ALLOWED[name];
  if (row === undefined) {
    faults.push(`${name} has no row in .ci/dependencies.mjs`);
    continue;
  }
  for (const { name: dependency, kind } of dependencies) {
    const inTests = kind === "dev";
    const allowed = inTests ? [...row.uses, ...row.tests] : row.uses;
    if (ours.has(dependency) && !allowed.includes(dependency)) {
      faults.push(`${name} must not depend on ${dependency}${inTests ? ", not even in tests" : ""}`);
    }
    if (name === PURE && !inTests && IMPURE.includes(dependency)) {
      faults.push(`${name} has no IO, clock or randomness, so it must not depend on ${dependency}`);
    }
  }
  const used = new Set(dependencies.map(({ name: dependency }) => dependency));
  for (const unused of [...row.uses, ...row.tests].filter((dependency) => !used.has(dependency))) {
    faults.push(`${name} does not depend on ${unused} any more: remove it from its row in .ci/dependencies.mjs`);
  }
}

for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
