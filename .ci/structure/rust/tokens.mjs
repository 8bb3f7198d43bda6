// Tokens of Rust source text, without comments.

const TOKENS = new RegExp(
  [
    String.raw`(?<space>\s+|//[^\n]*)`,
    String.raw`(?<string>[bc]?r(?<hashes>#*)"[\s\S]*?"\k<hashes>|[bc]?"(?:\\[\s\S]|[^"\\])*"|b?'(?:\\(?:u\{[^}]*\}|x[0-9a-fA-F]{2}|.)|[^'\\\n])')`,
    String.raw`(?<lifetime>'[A-Za-z_]\w*)`,
    String.raw`(?<word>(?:r#)?[A-Za-z_]\w*)`,
    String.raw`(?<number>\d\w*)`,
    String.raw`(?<punctuation>::|[\s\S])`,
  ].join("|"),
  "y",
);

/** Returns the offset behind the block comment that starts at `start`; block comments nest. */
function skipBlockComment(text, start) {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text.startsWith("/*", at)) {
      depth++;
      at++;
    } else if (text.startsWith("*/", at)) {
      depth--;
      at++;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** Returns the tokens of `text`, each with its kind (`word`, `string`, `punctuation`, …), text and line. */
export function tokenize(text) {
  const tokens = [];
  let at = 0;
  let line = 1;
  while (at < text.length) {
    let end;
    if (text.startsWith("/*", at)) {
      end = skipBlockComment(text, at);
    } else {
      TOKENS.lastIndex = at;
      const { groups, 0: found } = TOKENS.exec(text);
      end = at + found.length;
      if (groups.space === undefined) {
        const kind = ["string", "lifetime", "word", "number"].find((each) => groups[each] !== undefined) ?? "punctuation";
        tokens.push({ kind, text: found.replace(/^r#(?=\w)/, ""), line });
      }
    }
    line += text.slice(at, end).split("\n").length - 1;
    at = end;
  }
  return tokens;
}
