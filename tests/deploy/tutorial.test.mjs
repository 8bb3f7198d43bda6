// The README's tutorial, run like a reader does.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd } from "../lib/harness/at-end.mjs";
import { temporaryFolder } from "../lib/harness/folder.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { freePort } from "../lib/network/ports.mjs";

const LINES = 20;

test("the tutorial has at most 20 lines of stock socket.io-client", async () => {
  const code = await tutorial();
  const lines = code.trim().split("\n");
  assert.ok(lines.length <= LINES, `${lines.length} lines`);
  const imports = [...code.matchAll(/from "([^"]+)"|import\(|require\(/g)].map(([, name]) => name);
  assert.deepEqual(imports, ["socket.io-client"]);
});

test("two readers of the tutorial see each other join, publish and leave", async (t) => {
  const node = await startNode(t);
  const follow = await reader(t, node.url);

  const first = follow();
  const [, room] = await first.prints(/^in room ([A-Za-z0-9_-]+) with process \d+$/m);
  const second = follow(room);
  await second.prints(new RegExp(`^in room ${room} with process ${first.pid}, process ${second.pid}$`, "m"));
  const [, id] = await first.prints(new RegExp(`^process ${second.pid} \\((\\S+)\\) came$`, "m"));

  await first.prints(/^track 2, chunk 1: hello\ntrack 2, chunk 2: hello$/m);
  // It joined while the first was sending: it starts anywhere and continues without a gap.
  const [, seq] = await second.prints(/^track 1, chunk (\d+): hello$/m);
  await second.prints(new RegExp(`^track 1, chunk ${Number(seq) + 1}: hello$`, "m"));

  second.end();
  await first.prints(new RegExp(`^${id} went: disconnected$`, "m"));
});

test("the tutorial reports a missing node and waits for it", async (t) => {
  const host = `127.0.0.1:${await freePort()}`;
  const follow = await reader(t, `http://${host}`);
  const first = follow();
  await first.prints(/no node answers .*, trying again\n(.*\n)*no node answers/);
  await startNode(t, {}, { listen: host, opsListen: "127.0.0.1:0" });
  const [, room] = await first.prints(/^in room (\S+) with process \d+$/m);
  const second = follow(room);
  await second.prints(new RegExp(`^in room ${room} with process ${first.pid}, process ${second.pid}$`, "m"));
  await first.prints(/^track 2, chunk 1: hello$/m);
});

test("readers of the tutorial rejoin their room after the node restarts", async (t) => {
  const where = { listen: `127.0.0.1:${await freePort()}`, opsListen: "127.0.0.1:0" };
  let node = await startNode(t, {}, where);
  const follow = await reader(t, node.url);
  const first = follow();
  const [, room] = await first.prints(/^in room (\S+) with process \d+$/m);
  const second = follow(room);
  await first.prints(/^track 2, chunk 1: hello$/m);
  await second.prints(/^track 1, chunk \d+: hello$/m);

  const both = new RegExp(`^in room ${room} with process (\\d+), process (\\d+)$`, "m");
  for (const signal of ["SIGKILL", "SIGINT", "SIGTERM"]) {
    const before = [first.output.length, second.output.length];
    const since = (index) => [first, second][index].output.slice(before[index]);
    if (signal === "SIGKILL") await node.kill();
    else node.signal(signal);
    await node.exit;
    for (const index of [0, 1]) {
      await eventually(`it is told after ${signal}`, () => /^lost the node \(.*\), trying again$/m.test(since(index)));
    }
    node = await startNode(t, {}, where);
    await eventually(`the second to come back after ${signal} finds the other`, () =>
      both.test(since(0)) || both.test(since(1)));
    for (const index of [0, 1]) {
      await eventually(`each hears the other again after ${signal}`, () =>
        /^track [12], chunk \d+: hello$/m.test(since(index)));
      assert.ok([first, second][index].running, since(index));
    }
  }
});

test("a lone reader of the tutorial hears each later member", async (t) => {
  const node = await startNode(t);
  const follow = await reader(t, node.url);
  const first = follow();
  const [, room] = await first.prints(/^nobody else is here: node tutorial\.mjs (\S+)$/m);
  for (const track of [2, 3]) {
    const other = follow(room);
    await first.prints(new RegExp(`^track ${track}, chunk 2: hello$`, "m"));
    await other.prints(/^track 1, chunk \d+: hello$/m);
    other.end();
    const [, id] = await first.prints(new RegExp(`^process ${other.pid} \\((\\S+)\\) came$`, "m"));
    await first.prints(new RegExp(`^${id} went: disconnected$`, "m"));
  }
  assert.ok(first.running, first.output);
});

test("the tutorial reports an unknown room id", async (t) => {
  const node = await startNode(t);
  const follow = await reader(t, node.url);
  const lost = follow("no-such-room");
  await lost.prints(/no room "no-such-room"/);
  await eventually("it ends", () => !lost.running);
});

async function tutorial() {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const block = readme.match(/<!-- tutorial -->\s*```js\n([\s\S]*?)```/);
  assert.ok(block, "README.md has a js block after <!-- tutorial -->");
  return block[1];
}

/** Makes a folder as the tutorial says. Returns a function that starts the saved code. */
async function reader(t, url) {
  const folder = await temporaryFolder(t, "tutorial");
  await writeFile(join(folder, "tutorial.mjs"), await tutorial());
  await symlink(fileURLToPath(new URL("../node_modules", import.meta.url)), join(folder, "node_modules"));
  return (...args) => {
    const child = spawn(process.execPath, ["tutorial.mjs", ...args], {
      cwd: folder,
      env: { ...process.env, WEIR_URL: url },
    });
    let output = "";
    child.stdout.on("data", (text) => (output += text));
    child.stderr.on("data", (text) => (output += text));
    let running = true;
    const gone = new Promise((resolve) => child.once("close", resolve)).then(() => (running = false));
    const end = () => child.kill("SIGINT");
    atEnd(t, async () => {
      end();
      await gone;
    });
    const prints = (pattern) =>
      eventually(`the tutorial prints ${pattern}`, () => output.match(pattern)).catch((error) => {
        throw new Error(`${error.message}; it printed:\n${output}`);
      });
    return {
      pid: child.pid,
      end,
      prints,
      get output() {
        return output;
      },
      get running() {
        return running;
      },
    };
  };
}
