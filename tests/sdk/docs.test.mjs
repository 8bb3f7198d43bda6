import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { openPage, startBrowser } from "../lib/browser/browser.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { examples } from "../lib/harness/examples.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { servePages } from "../lib/servers/page-server.mjs";

/** Expected log of each example, in any order; dots stand for variable text. */
const LOGS = {
  call: [/^in room [\w-]+$/],
  failures: [/^no room "no-such-room"$/, /^closed $/],
  picture: [/^publishes vp\d\S* with at most 300000 bit\/s$/],
  data: [/^chunk 1: 1 2 3$/, /^Ann about positions: that was one$/],
  keys: [/^true everything$/],
  encryption: [/^Bob reads a secret$/, /^Eve reads nothing$/],
  devices: [/^WebCodecs: yes$/, /^1 camera, now fake_device_0$/],
};

test("every example of the SDK's documentation works", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startBrowser(t);
  const found = await examples();
  assert.deepEqual(Object.keys(found), Object.keys(LOGS));

  const run = async (name, hash = "") => {
    const page = await openPage(t, browser, `${pages}/sdk.html${hash}`);
    const logs = [];
    page.on("console", (message) => logs.push(message.text()));
    await page.addScriptTag({
      type: "module",
      content: found[name].replaceAll("http://localhost:8080", node.url),
    });
    try {
      await eventually(`${name} logs what it should`, () =>
        LOGS[name].every((line) => logs.some((log) => line.test(log))));
    } catch (error) {
      throw new Error(`${error.message}, but ${JSON.stringify(logs)}`);
    }
    return { page, logs };
  };
  for (const name of Object.keys(LOGS)) {
    const { page, logs } = await run(name);
    if (name === "call") {
      const room = logs.find((log) => log.startsWith("in room ")).split(" ").at(-1);
      const other = await run(name, `#${room}`);
      await eventually("both see each other", () =>
        [logs, other.logs].every((each) => each.includes("Ann is visible")));
      await other.page.close();
      await eventually("one sees the other go", () => logs.includes("Ann left: disconnected"));
    }
    await page.close();
  }
});

test("documented options, states and codes are exactly the SDK's", async () => {
  const text = await readFile(new URL("../../docs/sdk.md", import.meta.url), "utf8");
  const rows = (title) => {
    const table = text.slice(text.indexOf(title)).split("\n\n")[0];
    return [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);
  };
  const source = async (name) =>
    readFile(new URL(`../../clients/sdk/src/${name}.ts`, import.meta.url), "utf8");
  const options = (await source("connect")).match(/interface ConnectOptions \{(.*?)\n\}/s)[1];
  assert.deepEqual(rows("| option |"), [...options.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name));
  const states = (await source("room/events")).match(/type ConnectionState = ([^;]*);/)[1];
  assert.deepEqual(rows("| state |"), [...states.matchAll(/"(\w+)"/g)].map(([, name]) => name));
  const codes = (await source("errors")).match(/LOCAL_CODES = \[([^\]]*)\]/)[1];
  assert.deepEqual(rows("| code |"), [...codes.matchAll(/"(\w+)"/g)].map(([, name]) => name));
});
