// Items of one Rust file: its modules, definitions, imports and the paths that its code names.

const TYPES = new Set(["struct", "enum", "union", "trait", "type"]);
const DEFINITIONS = new Set([...TYPES, "fn", "const", "static", "macro_rules"]);
const QUALIFIERS = new Set(["async", "unsafe", "extern", "auto", "default", "const", "safe"]);
const ENDS_AT_SEMICOLON = new Set(["const", "static", "type", "use"]);
const OPENING = { "(": ")", "[": "]", "{": "}" };

/** Returns the index behind the bracket that closes the one at `start`. */
function skipBrackets(tokens, start) {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const { kind, text } = tokens[at];
    if (kind !== "punctuation") continue;
    if ("([{".includes(text)) depth++;
    else if (")]}".includes(text) && --depth === 0) return at + 1;
  }
  return tokens.length;
}

/** Returns the index behind the item whose keyword is at `start`. */
function skipItem(tokens, start, keyword) {
  for (let at = start; at < tokens.length; at++) {
    const { text } = tokens[at];
    if (text === ";") return at + 1;
    if (Object.hasOwn(OPENING, text)) {
      const block = text === "{";
      at = skipBrackets(tokens, at) - 1;
      if (block && !ENDS_AT_SEMICOLON.has(keyword)) return at + 1;
    } else if (text === "}") {
      return at;
    }
  }
  return tokens.length;
}

/** Reads the use tree at `start`. Returns the index behind it, and the paths with the names that they bring in. */
function readUseTree(tokens, start, prefix, line) {
  const path = [...prefix];
  const paths = [];
  let at = start;
  for (; at < tokens.length; at++) {
    const { kind, text } = tokens[at];
    if (text === "{") {
      const end = skipBrackets(tokens, at);
      let inner = at + 1;
      while (inner < end - 1) {
        const read = readUseTree(tokens, inner, path, tokens[inner].line);
        paths.push(...read.paths);
        inner = read.end + 1;
      }
      return { end, paths };
    }
    if (text === "*") {
      paths.push({ path, glob: true, line });
      return { end: at + 1, paths };
    }
    if (text === "as") {
      paths.push({ path, name: tokens[at + 1].text, line });
      return { end: at + 2, paths };
    }
    if (kind === "word") path.push(text);
    else if (text !== "::") break;
  }
  if (path.at(-1) === "self" && path.length > 1) path.pop();
  paths.push({ path, name: path.at(-1), line });
  return { end: at, paths };
}

/** Returns the paths of two or more segments that the tokens name, and those of the imports among them. */
function pathsIn(tokens) {
  const paths = [];
  for (let at = 0; at < tokens.length; at++) {
    const { kind, text, line } = tokens[at];
    const before = tokens[at - 1]?.text;
    if (kind !== "word" || before === "::" || before === ".") continue;
    if (text === "use" && (before === undefined || "{};".includes(before))) {
      const read = readUseTree(tokens, at + 1, [], line);
      paths.push(...read.paths);
      at = read.end - 1;
      continue;
    }
    const path = [text];
    while (tokens[at + 1]?.text === "::" && tokens[at + 2]?.kind === "word") {
      path.push(tokens[at + 2].text);
      at += 2;
    }
    if (path.length > 1) paths.push({ path, line });
  }
  return paths;
}

/** Reads the attributes at `start`: the index behind them, whether they mean tests alone, and a `path`. */
function readAttributes(tokens, start) {
  let at = start;
  let test = false;
  let path;
  while (tokens[at]?.text === "#") {
    const from = tokens[at + 1]?.text === "!" ? at + 2 : at + 1;
    const end = skipBrackets(tokens, from);
    const words = tokens.slice(from + 1, end - 1).map(({ text }) => text);
    const text = words.join("");
    test ||= /^cfg\((all\()?test\b/.test(text) || text === "test" || text.endsWith("::test");
    if (words[0] === "path" && words[1] === "=") path = words[2].slice(1, -1);
    at = end;
  }
  return { at, test, path };
}

function readVisibility(tokens, start) {
  if (tokens[start]?.text !== "pub") return { at: start, visible: false };
  const restricted = tokens[start + 1]?.text === "(" && ["crate", "super", "self", "in"].includes(tokens[start + 2]?.text);
  return { at: restricted ? skipBrackets(tokens, start + 1) : start + 1, visible: true };
}

/**
 * Reads the items of a module. The result has `children` (modules, with their items where they are inline),
 * `definitions` by name, `imports` and `paths`; what is compiled for tests alone is marked `test`.
 */
export function readItems(tokens, test = false) {
  const items = { children: new Map(), definitions: new Map(), imports: [], paths: [] };
  let at = 0;
  while (at < tokens.length) {
    const attributes = readAttributes(tokens, at);
    const visibility = readVisibility(tokens, attributes.at);
    const onlyTests = test || attributes.test;
    let from = visibility.at;
    while (QUALIFIERS.has(tokens[from]?.text) && !(tokens[from].text === "const" && tokens[from + 2]?.text === ":")) {
      from += tokens[from + 1]?.kind === "string" ? 2 : 1;
    }
    if (from >= tokens.length) break;
    const { text: keyword, line } = tokens[from];
    const name = tokens[from + 1]?.text;
    const end = Math.max(skipItem(tokens, from, keyword), from + 1);
    const own = tokens.slice(from, end);
    if (keyword === "mod") {
      const inline = tokens[from + 2]?.text === "{" ? readItems(tokens.slice(from + 3, end - 1), onlyTests) : undefined;
      items.children.set(name, { inline, path: attributes.path, test: onlyTests });
    } else if (keyword === "use") {
      const read = readUseTree(tokens, from + 1, [], line);
      items.imports.push(...read.paths.map((each) => ({ ...each, test: onlyTests })));
    } else {
      if (DEFINITIONS.has(keyword)) {
        const named = keyword === "macro_rules" ? tokens[from + 2]?.text : name;
        if (!items.definitions.has(named) || TYPES.has(keyword)) {
          items.definitions.set(named, { line, type: TYPES.has(keyword), visible: visibility.visible });
        }
      }
      items.paths.push(...pathsIn(own).map((each) => ({ ...each, test: onlyTests })));
    }
    at = end;
  }
  return items;
}
