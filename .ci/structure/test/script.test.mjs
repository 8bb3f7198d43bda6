import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "../faults.mjs";
import { tokenize } from "../script/tokens.mjs";

const faults = (files) => faultsOf(new Map(Object.entries(files))).map(({ check, message }) => `${check}: ${message}`);
const CYCLE = ["cycles: 2 files import each other, none may: a.ts:1 -> b.ts:1 -> a.ts"];

test("modules that import each other are a cycle", () => {
  assert.deepEqual(faults({ "a.ts": 'import { b } from "./b.ts";', "b.ts": 'import "./a.ts";' }), CYCLE);
});

test("imports of types count", () => {
  assert.deepEqual(faults({ "a.ts": 'import type { B } from "./b.js";', "b.ts": 'import { type A } from "./a";' }), CYCLE);
});

test("re-exports and dynamic imports count", () => {
  assert.deepEqual(faults({ "a.ts": 'export * from "./b.ts";', "b.ts": 'const a = await import("./a.ts");' }), CYCLE);
  assert.deepEqual(faults({ "a.ts": 'export {\n  b as c,\n} from "./b.ts";', "b.ts": 'export type { A } from "./a.ts";' }), CYCLE);
});

test("a cycle of folders and of plain JavaScript is found", () => {
  assert.deepEqual(faults({ "x/index.ts": 'import "../y.mjs";', "y.mjs": 'import "./z.mjs";', "z.mjs": 'import "./x";' }), [
    "cycles: 3 files import each other, none may: x/index.ts:1 -> y.mjs:1 -> z.mjs:1 -> x/index.ts",
  ]);
});

test("packages, comments and strings are no imports", () => {
  const b = ['import "a";', '// import "./a.ts";', "const text = `", 'import "./a.ts";', '${`}`} ${"`"}`;', "const rule = /[/`]/;", '/* import "./a.ts"; */'];
  assert.deepEqual(faults({ "a.ts": 'import "./b.ts";', "b.ts": b.join("\n") }), []);
});

test("an exported type name that is defined twice is refused", () => {
  const found = faults({
    "a.ts": "export interface Link {}\nexport const link = 1;\ntype Own = 1;",
    "b.tsx": "\nexport abstract class Link {}\ntype Own = 2;",
    "c.ts": "enum Kind {}\nexport { Kind as Sort, type Other };\ntype Other = 1;",
    "d.ts": "export type Sort = 1;\nexport declare class Other {}",
  });
  assert.deepEqual(found, [
    "types: type Link is defined 2 times, 1 is allowed: a.ts:1, b.tsx:2",
    "types: type Other is defined 2 times, 1 is allowed: c.ts:3, d.ts:2",
    "types: type Sort is defined 2 times, 1 is allowed: c.ts:1, d.ts:1",
  ]);
});

test("one declaration merged of two in a file, and its re-export, are one type", () => {
  assert.deepEqual(faults({ "a.ts": "export type Key = 1;\nexport const Key = 2;", "b.ts": 'export type { Key } from "./a.ts";' }), []);
});

test("regular expressions and divisions are told apart", () => {
  const kinds = tokenize("a / b / c; x = /a\\/[/]'/g; </p> `${`}`}` it's").map(({ kind }) => kind);
  assert.deepEqual(kinds.filter((kind) => kind !== "word" && kind !== "punctuation"), ["regex", "template"]);
});
