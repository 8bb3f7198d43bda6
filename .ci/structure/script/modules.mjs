// Imports and exported types of TypeScript and JavaScript modules.
import { dirname, join } from "node:path/posix";
import { tokenize } from "./tokens.mjs";

const MODULES = /\.(ts|tsx|mts|js|mjs)$/;
const TYPES = new Set(["class", "interface", "type", "enum"]);
const MODIFIERS = new Set(["export", "default", "declare", "abstract", "const"]);
const ENDINGS = ["", ".ts", ".tsx", ".d.ts", ".mts", ".mjs", ".js", "/index.ts", "/index.tsx", "/index.mjs", "/index.js"];

/** Returns the file that `specifier` means in `file`, or undefined if it is none of `tree`. */
function fileOf(tree, file, specifier) {
  if (!specifier.startsWith(".")) return undefined;
  const path = join(dirname(file), specifier.replace(/[?#].*$/, ""));
  const stem = path.replace(/\.m?js$/, "");
  return [...ENDINGS.map((ending) => path + ending), ...ENDINGS.map((ending) => stem + ending)].find((each) => tree.has(each));
}

/** Returns the specifier of the import or export at `start`, or undefined if it has none. */
function specifierAt(tokens, start) {
  if (tokens[start].text === "import" && tokens[start + 1]?.kind === "string") return tokens[start + 1].text;
  for (let at = start + 1; at < tokens.length; at++) {
    const { kind, text, column } = tokens[at];
    if (text === ";" || text === "=" || text === "(" || (column === 0 && text !== "}")) return undefined;
    if (text === "from" && tokens[at + 1]?.kind === "string") return tokens[at + 1].text;
    if (kind === "string") return undefined;
  }
  return undefined;
}

/** Returns the names in the export list at `start`, with what they are called outside. */
function exportList(tokens, start) {
  const names = [];
  let at = start + 1;
  if (tokens[at]?.text === "type") at++;
  if (tokens[at]?.text !== "{") return names;
  for (at++; at < tokens.length && tokens[at].text !== "}"; at++) {
    const { kind, text } = tokens[at];
    if (kind !== "word" || (text === "type" && tokens[at + 1]?.kind === "word")) continue;
    const renamed = tokens[at + 1]?.text === "as";
    names.push({ name: text, outside: renamed ? tokens[at + 2].text : text });
    if (renamed) at += 2;
  }
  return names;
}

/** Reads one file: the specifiers that it imports, and its types at the top level. */
function readModule(text) {
  const tokens = tokenize(text);
  const specifiers = [];
  const declared = new Map();
  const exported = new Map();
  for (const [at, { kind, text: word, line, column }] of tokens.entries()) {
    if (kind !== "word") continue;
    if (word === "import" && tokens[at + 1]?.text === "(" && tokens[at + 2]?.kind === "string") {
      specifiers.push({ specifier: tokens[at + 2].text, line });
    }
    if (column !== 0) continue;
    if (word === "import" || word === "export") {
      const specifier = specifierAt(tokens, at);
      if (specifier !== undefined) {
        specifiers.push({ specifier, line });
        continue;
      }
    }
    if (word === "export") {
      for (const { name, outside } of exportList(tokens, at)) exported.set(name, outside);
    }
    let from = at;
    while (MODIFIERS.has(tokens[from]?.text)) from++;
    const name = tokens[from + 1];
    if (TYPES.has(tokens[from]?.text) && name?.kind === "word" && !["=", "from"].includes(name.text)) {
      declared.set(name.text, name.line);
      if (word === "export") exported.set(name.text, name.text);
    }
  }
  const types = [...exported].filter(([name]) => declared.has(name)).map(([name, outside]) => ({ name: outside, line: declared.get(name) }));
  return { specifiers: specifiers.map(({ specifier, line }) => ({ specifier: specifier.slice(1, -1), line })), types };
}

/** Reads every module in `tree`: the imports between its files, those of types included, and the exported types. */
export function readModules(tree) {
  const imports = [];
  const types = [];
  for (const [file, text] of tree) {
    if (!MODULES.test(file)) continue;
    const module = readModule(text);
    for (const { specifier, line } of module.specifiers) {
      const to = fileOf(tree, file, specifier);
      if (to !== undefined) imports.push({ from: file, to, line });
    }
    types.push(...module.types.map((type) => ({ ...type, file })));
  }
  return { imports, types };
}
