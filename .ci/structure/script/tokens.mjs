// Tokens of JavaScript and TypeScript source text, without comments. JSX text is read as code, which is enough here.

const TOKENS = new RegExp(
  [
    String.raw`(?<space>\s+|//[^\n]*|/\*[\s\S]*?\*/|^#![^\n]*)`,
    String.raw`(?<string>"(?:\\[\s\S]|[^"\\\n])*"|'(?:\\[\s\S]|[^'\\\n])*')`,
    String.raw`(?<word>[A-Za-z_$#][\w$]*)`,
    String.raw`(?<number>\d[\w.]*)`,
    String.raw`(?<punctuation>[\s\S])`,
  ].join("|"),
  "y",
);
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;

/** Words behind which an expression starts, so that a slash starts a regular expression. */
const BEFORE_EXPRESSION = new Set(["return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "await", "yield"]);

function startsExpression(previous) {
  if (previous === undefined) return true;
  if (previous.kind === "punctuation") return !")]}<".includes(previous.text);
  return previous.kind === "word" && BEFORE_EXPRESSION.has(previous.text);
}

/** Returns the offset behind the expression `${…}` of a template literal that starts at `start`. */
function skipExpression(text, start) {
  let depth = 0;
  let at = start;
  while (at < text.length) {
    if (text[at] === "`") {
      at = skipTemplate(text, at);
      continue;
    }
    TOKENS.lastIndex = at;
    const { 0: token } = TOKENS.exec(text);
    at += token.length;
    if (token === "{") depth++;
    else if (token === "}" && --depth === 0) return at;
  }
  return at;
}

/** Returns the offset behind the template literal that starts at `start`. */
function skipTemplate(text, start) {
  let at = start + 1;
  while (at < text.length && text[at] !== "`") {
    if (text.startsWith("${", at)) at = skipExpression(text, at + 1);
    else at += text[at] === "\\" ? 2 : 1;
  }
  return at + 1;
}

/** Returns the tokens of `text`, each with its kind, text, line and column (from 0). */
export function tokenize(text) {
  const tokens = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  while (at < text.length) {
    let kind;
    let end;
    REGEX.lastIndex = at;
    if (text[at] === "`") {
      kind = "template";
      end = skipTemplate(text, at);
    } else if (text[at] === "/" && !"/*".includes(text[at + 1]) && startsExpression(tokens.at(-1)) && REGEX.test(text)) {
      kind = "regex";
      end = REGEX.lastIndex;
    } else {
      TOKENS.lastIndex = at;
      const { groups, 0: found } = TOKENS.exec(text);
      kind = ["string", "word", "number", "punctuation"].find((each) => groups[each] !== undefined);
      end = at + found.length;
    }
    const token = text.slice(at, end);
    if (kind !== undefined) tokens.push({ kind, text: token, line, column: at - lineStart });
    line += token.split("\n").length - 1;
    if (token.includes("\n")) lineStart = at + token.lastIndexOf("\n") + 1;
    at = end;
  }
  return tokens;
}
