import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "../faults.mjs";

const lines = (count) => "x\n".repeat(count);
const messages = (files) => faultsOf(new Map(Object.entries(files))).map(({ check, message }) => `${check}: ${message}`);

test("file of 501 lines is refused, of 500 is not", () => {
  assert.deepEqual(messages({ "a/long.sh": lines(501), "a/full.sh": lines(500), "a/ragged.md": `${lines(500)}x` }), [
    "lines: a/long.sh has 501 lines; at most 500 are allowed",
    "lines: a/ragged.md has 501 lines; at most 500 are allowed",
  ]);
});

test("generated files may be longer", () => {
  assert.deepEqual(messages({ "Cargo.lock": lines(3000), "tests/package-lock.json": lines(600), "helm/weir/values.schema.json": lines(900) }), []);
});

test("thirteenth file in a folder is refused, files in folders below it do not count", () => {
  const named = (folder, count) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`${folder}/${at}.toml`, ""]));
  assert.deepEqual(messages({ ...named("a", 13), ...named("b", 12), ...named("b/c", 12) }), [
    "folders: a has 13 files; at most 12 are allowed",
  ]);
});

test("the root is a folder like others", () => {
  const files = Object.fromEntries(Array.from({ length: 13 }, (_, at) => [`${at}.toml`, ""]));
  assert.deepEqual(messages(files), ["folders: the root has 13 files; at most 12 are allowed"]);
});
