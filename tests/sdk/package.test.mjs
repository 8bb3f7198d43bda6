import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { temporaryFolder } from "../lib/harness/folder.mjs";
import { examples } from "../lib/harness/examples.mjs";

const run = promisify(execFile);
const CLIENTS = fileURLToPath(new URL("../../clients/", import.meta.url));
const MOST_BYTES = 30 * 1024;

test("the SDK is small and imports only socket.io-client", async (t) => {
  const code = await readFile(`${CLIENTS}sdk/dist/index.js`, "utf8");
  const imports = [...code.matchAll(/\bfrom\s*"([^"]+)"|\bimport\s*\(?"([^"]+)"/g)].map(([, one, two]) => one ?? two);
  assert.deepEqual([...new Set(imports)], ["socket.io-client"]);
  const { length } = gzipSync(code, { level: 9 });
  t.diagnostic(`${length} bytes, gzipped`);
  assert.ok(length <= MOST_BYTES, `${length} bytes are more than ${MOST_BYTES}`);
});

test("types and examples compile in a strict project", async (t) => {
  const project = await temporaryFolder(t, "consumer");
  // The packed SDK, not its source folder.
  await run("npm", ["pack", "--pack-destination", project], { cwd: `${CLIENTS}sdk` });
  await mkdir(`${project}/node_modules/@weir/sdk`, { recursive: true });
  await run("tar", ["-xzf", "weir-sdk-0.1.0.tgz", "--strip-components=1", "-C", "node_modules/@weir/sdk"], { cwd: project });
  await symlink(`${CLIENTS}node_modules/socket.io-client`, `${project}/node_modules/socket.io-client`);
  for (const [name, code] of Object.entries(await examples())) await writeFile(`${project}/${name}.ts`, code);
  // The types must also reject wrong code.
  await writeFile(
    `${project}/wrong.ts`,
    `import { connect } from "@weir/sdk";
const room = await connect("http://localhost:8080");
// @ts-expect-error: there is no such event
room.on("member:arrived", () => {});
// @ts-expect-error: a member's name is text
room.on("member:joined", ({ name }) => name.toFixed());
// @ts-expect-error: there is no such preset
await room.publishCamera({ preset: "4k" });
// @ts-expect-error: a room is not made by hand
room.state = "joined";
`,
  );
  await writeFile(
    `${project}/tsconfig.json`,
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        module: "NodeNext",
        lib: ["ES2022", "DOM", "DOM.Iterable"],
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noImplicitOverride: true,
        skipLibCheck: false,
        noEmit: true,
      },
    }),
  );
  await writeFile(`${project}/package.json`, JSON.stringify({ type: "module" }));
  try {
    await run("node", [`${CLIENTS}node_modules/typescript/bin/tsc`, "-p", project]);
  } catch (error) {
    assert.fail(error.stdout || error.message);
  }
});
