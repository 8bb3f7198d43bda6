// Modules, imports and types of the Rust crates.
import { dirname, join } from "node:path/posix";
import { readItems } from "./items.mjs";
import { tokenize } from "./tokens.mjs";

/** Roots of crates: libraries, programs, build scripts and integration tests. */
const ROOTS = /^(?<home>crates\/[^/]+)\/(src\/(lib|main)|build|src\/bin\/([^/]+|[^/]+\/main)|(tests|benches|examples)\/([^/]+|[^/]+\/main))\.rs$/;

class Module {
  constructor(file, folder, items, parent) {
    this.file = file;
    this.folder = folder;
    this.items = items;
    this.parent = parent;
    this.children = new Map();
  }

  get root() {
    return this.parent?.root ?? this;
  }
}

/** Builds the modules below `module`, whose files are in `tree`. Modules of tests are left out. */
function addChildren(tree, module) {
  for (const [name, { inline, path, test }] of module.items.children) {
    if (test) continue;
    let child;
    if (inline !== undefined) {
      child = new Module(module.file, join(module.folder, name), inline, module);
    } else {
      const places = path === undefined ? [`${name}.rs`, `${name}/mod.rs`] : [path];
      const base = path === undefined ? module.folder : dirname(module.file);
      const file = places.map((place) => join(base, place)).find((place) => tree.has(place));
      if (file === undefined) continue;
      const folder = file.endsWith("/mod.rs") ? dirname(file) : file.slice(0, -".rs".length);
      child = new Module(file, folder, readItems(tokenize(tree.get(file))), module);
    }
    module.children.set(name, child);
    addChildren(tree, child);
  }
}

/**
 * Resolves `name` in `module`: a module, or the module that defines it. Re-exports are followed to the definition.
 * Returns undefined for names of other crates, and of values.
 */
function lookUp(module, name, visited = new Set()) {
  const child = module.children.get(name);
  if (child !== undefined) return { module: child };
  if (module.items.definitions.has(name)) return { module, definition: name };
  for (const entry of module.items.imports) {
    if (visited.has(entry) || (!entry.glob && entry.name !== name)) continue;
    const path = entry.glob ? [...entry.path, name] : entry.path;
    const found = resolve(module, path, new Set([...visited, entry]));
    if (found !== undefined && (found.exact || !entry.glob)) return found;
  }
  return undefined;
}

/** Resolves a path from `module`. `exact` is false where only the beginning of the path was found. */
function resolve(module, path, visited = new Set()) {
  let at = { module };
  let first = true;
  for (const [index, segment] of path.entries()) {
    if (at.definition !== undefined) return { ...at, exact: true };
    let next;
    if (first && segment === "crate") next = { module: module.root };
    else if (segment === "self" && index === 0) next = { module };
    else if (segment === "super") next = at.module.parent && { module: at.module.parent };
    else next = lookUp(at.module, segment, visited);
    if (next === undefined) return index === 0 ? undefined : { ...at, exact: false };
    at = next;
    first = false;
  }
  return { ...at, exact: true };
}

/** Returns the imports of `module` and of the modules below it, and marks the types that other files use. */
function collectImports(module, used) {
  const imports = [];
  for (const { path, glob, name, line, test } of [...module.items.imports, ...module.items.paths]) {
    if (test) continue;
    const found = resolve(module, path, new Set(module.items.imports.filter((entry) => entry.path === path)));
    if (found === undefined || found.module.file === module.file) continue;
    // A module that is only brought into scope is no dependency yet: the paths that start with it are.
    if (found.definition === undefined && found.exact && !glob && name !== undefined) continue;
    imports.push({ from: module.file, to: found.module.file, line });
    if (found.definition !== undefined) used.add(found.module.items.definitions.get(found.definition));
  }
  for (const child of module.children.values()) imports.push(...collectImports(child, used));
  return imports;
}

function modulesBelow(module) {
  return [module, ...[...module.children.values()].flatMap(modulesBelow)];
}

/**
 * Reads every crate in `tree`: the imports between the files of a crate, without those of tests inside of a crate,
 * and the types that are visible beyond their file.
 */
export function readCrates(tree) {
  const imports = [];
  const types = new Map();
  for (const file of [...tree.keys()].filter((path) => ROOTS.test(path))) {
    const items = readItems(tokenize(tree.get(file)));
    const root = new Module(file, dirname(file), items, undefined);
    addChildren(tree, root);
    const used = new Set();
    imports.push(...collectImports(root, used));
    for (const module of modulesBelow(root)) {
      for (const [name, definition] of module.items.definitions) {
        if (!definition.type || !(definition.visible || used.has(definition))) continue;
        types.set(`${module.file} ${module.folder} ${name}`, { name, file: module.file, line: definition.line });
      }
    }
  }
  return { imports, types: [...types.values()] };
}
