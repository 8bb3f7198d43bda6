import { expect, test } from "vitest";
import { asWeirError, CONTRACT_CODES, closedError, LOCAL_CODES, WeirError } from "../src/errors";

const DOCS = import.meta.glob<string>("../../../docs/{protocol,sdk}.md", {
  eager: true,
  query: "?raw",
  import: "default",
});

/** Returns the code and `yes` or `no` of each table row that has this column. */
function retryable(file: string): Map<string, boolean> {
  const text = DOCS[`../../../docs/${file}.md`] ?? "";
  const [table = ""] = text.slice(text.indexOf("| code | retryable |")).split("\n\n");
  return new Map(
    [...table.matchAll(/^\| `(\w+)` \| (yes|no) \|/gm)].map(([, code = "", word]) => [code, word === "yes"]),
  );
}

test("each code is retryable where the documents say so", () => {
  const documented = new Map([...retryable("protocol"), ...retryable("sdk")]);
  const made = [...CONTRACT_CODES, ...LOCAL_CODES].map(
    (code) => [code, new WeirError(code, "").retryable] as const,
  );
  expect(Object.fromEntries(made)).toEqual(Object.fromEntries(documented));
});

test("closed error is not retryable and names its cause", () => {
  expect(closedError()).toMatchObject({ code: "closed", retryable: false });
  const cause = new WeirError("room_not_found", 'no room "r"');
  expect(closedError(cause)).toMatchObject({ code: "closed", retryable: false, cause });
  expect(closedError(cause).message).toContain('no room "r"');
});

test("error of the page is not retryable", () => {
  expect(asWeirError(new TypeError("x"))).toMatchObject({ code: "internal", retryable: false });
});
