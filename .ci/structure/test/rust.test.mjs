import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "../faults.mjs";
import { tokenize } from "../rust/tokens.mjs";

/** Returns the faults of a crate `c` with these files under `src`. */
function faults(files) {
  const tree = new Map(Object.entries(files).map(([path, text]) => [path.includes("/") && path.startsWith("crates") ? path : `crates/c/src/${path}`, text]));
  return faultsOf(tree).map(({ check, message }) => `${check}: ${message.replaceAll("crates/c/src/", "")}`);
}

const CYCLE = ["cycles: 2 files import each other, none may: a.rs:1 -> b.rs:1 -> a.rs"];

test("files that import each other are a cycle", () => {
  assert.deepEqual(faults({ "lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B; pub fn f() {}", "b.rs": "use super::a::f; pub fn g() {}" }), CYCLE);
});

test("paths in code count as imports", () => {
  const a = "fn f() -> crate::b::B { crate::b::make() }";
  assert.deepEqual(faults({ "lib.rs": "mod a; mod b;", "a.rs": a, "b.rs": "fn g() { use crate::a::f; f() }" }), CYCLE);
});

test("paths that start with an imported module count", () => {
  const b = "use crate::{a, other::X}; struct B; fn g() { a::f() }";
  assert.deepEqual(faults({ "lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B; fn f() {}", "b.rs": b }), [
    "cycles: 2 files import each other, none may: a.rs:1 -> b.rs:1 -> a.rs",
  ]);
});

test("a cycle through three files in folders is found", () => {
  const files = {
    "lib.rs": "mod a; mod d;",
    "a.rs": "use crate::d::E;",
    "d/mod.rs": "mod e; pub use e::E;",
    "d/e.rs": "mod f; use self::f::F; pub struct E;",
    "d/e/f.rs": "use crate::a::*; pub struct F;",
  };
  assert.deepEqual(faults(files), [
    "cycles: 3 files import each other, none may: a.rs:1 -> d/e.rs:1 -> d/e/f.rs:1 -> a.rs",
  ]);
});

test("re-exports are followed to the definition", () => {
  const files = { "lib.rs": "mod d;", "d/mod.rs": "mod e; mod f; pub use e::E; pub use f::F;", "d/e.rs": "use super::F;", "d/f.rs": "struct F;" };
  assert.deepEqual(faults(files), []);
});

test("declaring a child module is no import, using it is", () => {
  const child = "use super::Shared;";
  assert.deepEqual(faults({ "lib.rs": "mod a;", "a.rs": "mod child; struct Shared;", "a/child.rs": child }), []);
  assert.deepEqual(faults({ "lib.rs": "mod a;", "a.rs": "mod child; struct Shared; fn f() { child::run() }", "a/child.rs": `${child} fn run() {}` }), [
    "cycles: 2 files import each other, none may: a.rs:1 -> a/child.rs:1 -> a.rs",
  ]);
});

test("code of tests makes no cycle", () => {
  const files = {
    "lib.rs": "mod a; mod b;",
    "a.rs": "use crate::b::B; fn f() {} #[cfg(test)] mod tests;",
    "a/tests.rs": "use super::*;",
    "b.rs": "struct B; #[cfg(test)] mod tests { use crate::a::f; } #[cfg(test)] use crate::a::f;",
  };
  assert.deepEqual(faults(files), []);
});

test("comments, strings and lifetimes are not code", () => {
  const a = `/* /* nested */ crate::b::B */ // crate::b::B
    const S: &str = "crate::b::B \\" crate::b::B"; const R: &str = r#"crate::b::B "x" crate::b::B"#;
    fn f<'a>(x: &'a str) -> char { '"' } fn g() -> char { '\\'' }`;
  assert.deepEqual(faults({ "lib.rs": "mod a; mod b;", "a.rs": a, "b.rs": "use crate::a::f; struct B;" }), []);
  assert.deepEqual(tokenize("'a' 'a r#type \"x\ny\" z").map(({ kind, line }) => `${kind} ${line}`), [
    "string 1",
    "lifetime 1",
    "word 1",
    "string 1",
    "word 2",
  ]);
});

test("a type name that two crates make visible is refused", () => {
  const found = faults({
    "lib.rs": "pub(crate) struct Link;\nenum Private { A }",
    "crates/d/src/lib.rs": "\npub trait Link {}\nenum Private { B }\npub fn link() {}",
  });
  assert.deepEqual(found, ["types: type Link is defined 2 times, 1 is allowed: lib.rs:1, crates/d/src/lib.rs:2"]);
});

test("type aliases, unions and types of inline modules count", () => {
  const found = faults({
    "lib.rs": "pub type A = u8; mod inner { pub(super) union B { x: u8 } }",
    "main.rs": "pub const unsafe fn f() {} pub unsafe trait A {} mod other { pub struct B<T: Into<u8>>(T); }",
  });
  assert.deepEqual(found, [
    "types: type A is defined 2 times, 1 is allowed: lib.rs:1, main.rs:1",
    "types: type B is defined 2 times, 1 is allowed: lib.rs:1, main.rs:1",
  ]);
});

test("a private type that a child module uses is visible beyond its file", () => {
  const found = faults({ "lib.rs": "mod a; pub struct Held;", "a.rs": "mod child; struct Held;", "a/child.rs": "use super::Held;" });
  assert.deepEqual(found, ["types: type Held is defined 2 times, 1 is allowed: lib.rs:1, a.rs:1"]);
});

test("associated types and variants are no types of their own", () => {
  assert.deepEqual(faults({ "lib.rs": "pub trait A { type Item; } pub enum B { Item } impl A for B { type Item = u8; }", "main.rs": "pub struct Item;" }), []);
});
