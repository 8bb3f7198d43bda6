// Compares the crates' dependencies, from `cargo metadata` on stdin, with the rules below.
import { readFileSync } from "node:fs";

/** What each crate may depend on of ours. A new crate finds its place here first. */
const ALLOWED = {
  "weir-protocol": [],
  "weir-core": ["weir-protocol"],
  "weir-cluster": ["weir-protocol"],
  "weir-redis": ["weir-protocol", "weir-cluster"],
  "weir-engine": ["weir-protocol", "weir-core", "weir-cluster"],
  "weir-gateway": ["weir-protocol", "weir-core", "weir-cluster", "weir-redis", "weir-engine"],
  weir: ["weir-protocol", "weir-gateway"],
  "weir-testkit": ["weir-protocol", "weir-core", "weir-cluster", "weir-engine", "weir-gateway"],
};

/** What every crate's tests may use, besides the crate itself with other features. */
const IN_TESTS = ["weir-testkit", "weir-protocol"];

/** The crate without IO, clock or randomness, and what would bring them in. */
const PURE = "weir-core";
const IMPURE = ["axum", "hyper", "rand", "socket2", "socketioxide", "tokio"];

const { packages } = JSON.parse(readFileSync(0, "utf8"));
const ours = new Set(packages.map(({ name }) => name));
const faults = [];

for (const { name, dependencies } of packages) {
  const allowed = ALLOWED[name];
  if (allowed === undefined) {
    faults.push(`${name} has no row in the table of .ci/dependencies.mjs`);
    continue;
  }
  for (const { name: dependency, kind } of dependencies) {
    const dev = kind === "dev";
    const mayUse = allowed.includes(dependency) || (dev && [name, ...IN_TESTS].includes(dependency));
    if (ours.has(dependency) && !mayUse) {
      faults.push(`${name} must not depend on ${dependency}${dev ? ", not even in tests" : ""}`);
    }
    if (name === PURE && !dev && IMPURE.includes(dependency)) {
      faults.push(`${name} has no IO, clock or randomness, so it must not depend on ${dependency}`);
    }
  }
}

for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
