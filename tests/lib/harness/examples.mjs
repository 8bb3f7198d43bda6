import { readFile } from "node:fs/promises";

/** Returns the examples of the SDK's documentation, code by name. */
export async function examples() {
  const text = await readFile(new URL("../../../docs/sdk.md", import.meta.url), "utf8");
  const found = text.matchAll(/<!-- example: (\w+) -->\n```js\n(.*?)```/gs);
  return Object.fromEntries([...found].map(([, name, code]) => [name, code]));
}
