import assert from "node:assert/strict";
import { test } from "node:test";
import { audit, goIn, tileOf } from "../lib/browser/app.mjs";
import { artefact } from "../lib/harness/artefacts.mjs";
import { openPage, startBrowser } from "../lib/browser/browser.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const SCREENS = [
  ["desktop", "light", { viewport: { width: 1440, height: 900 } }],
  ["phone", "dark", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }],
];

/** Takes a screenshot of the page, and asserts that it is accessible and not wider than the screen. */
async function look(t, page, name, screen) {
  await page.screenshot({ path: artefact(`${name}-${screen}.png`) });
  const { score, rules, broken } = await audit(page);
  t.diagnostic(`${name}: ${Math.round(score)} of 100 by ${rules} rules`);
  assert.ok(score >= 95, `${name}: ${broken.join("; ")}`);
  assert.deepEqual(broken, [], name);
  const { scroll, width } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    width: innerWidth,
  }));
  assert.ok(scroll <= width, `${name} is ${scroll} pixels wide, and the window is ${width}`);
}

/** Asserts that every tile is within the main area and wide enough. */
async function assertTilesFit(page) {
  const area = await page.getByRole("main").boundingBox();
  for (const tile of await page.getByTestId("tile").all()) {
    const box = await tile.boundingBox();
    const inside =
      box.x >= area.x && box.x + box.width <= area.x + area.width + 1 &&
      box.y >= area.y && box.y + box.height <= area.y + area.height + 1;
    assert.ok(inside, `a tile at ${JSON.stringify(box)} is not within ${JSON.stringify(area)}`);
    assert.ok(box.width >= 80, `a tile is only ${box.width} pixels wide`);
  }
}

for (const [screen, colorScheme, options] of SCREENS) {
  test(`every page is accessible and fits the screen (${screen}, ${colorScheme})`, async (t) => {
    const node = await startNode(t);
    const browser = await startBrowser(t);
    const page = await openPage(t, browser, node.url, { colorScheme, ...options });
    const looked = (name) => look(t, page, name, screen);

    await page.getByTestId("preview").locator("video").waitFor();
    await looked("start");
    const link = await goIn(page, "Ann Example");
    await page.getByTestId("tile").locator("video").waitFor();
    await looked("alone");
    const other = await openPage(t, browser, link, { colorScheme, ...options });
    await other.getByTestId("preview").locator("video").waitFor();
    await other.screenshot({ path: artefact(`lobby-${screen}.png`) });
    await goIn(other, "Bob Example");
    await eventually("Ann sees Bob", async () =>
      (await tileOf(page, "Bob").locator("canvas[width]").count()) === 1);
    await looked("two");

    await other.getByTestId("chat-toggle").click();
    await other.getByTestId("chat-input").fill("Good morning! Can you hear me?");
    await other.getByTestId("chat-send").click();
    await page.getByTestId("chat-toggle").click();
    await page.getByTestId("chat-input").fill("Loud and clear.");
    await page.getByTestId("chat-send").click();
    await looked("chat");
    await page.getByTestId("stats-toggle").click();
    await page.getByTestId("stats").getByText("Latency").waitFor();
    await looked("statistics");
    await page.getByTestId("stats-toggle").click();
    await page.getByTestId("settings-toggle").click();
    await looked("devices");
    await page.keyboard.press("Escape");

    const room = new URL(link).pathname.split("/").at(-1);
    for (let guest = 3; guest <= 16; guest++) {
      const peer = await SocketPeer.connect(t, node.url);
      await peer.ask("room:join", { room, name: `Guest ${guest}` });
    }
    await eventually("sixteen are there", async () => (await page.getByTestId("tile").count()) === 16);
    await assertTilesFit(page);
    await looked("sixteen");
    await page.getByTestId("leave").click();
    await page.getByText("You have left the room").waitFor();
    await looked("left");
  });
}

test("every control works by keyboard", async (t) => {
  const node = await startNode(t);
  const page = await openPage(t, await startBrowser(t), node.url);
  const focused = () => page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.tagName);
  const tabTo = async (id) => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press("Tab");
      if ((await focused()) === id) return;
    }
    assert.fail(`Tab never reaches ${id}`);
  };
  await tabTo("mic-toggle");
  await tabTo("camera-toggle");
  await tabTo("name");
  await page.keyboard.type("Ann");
  await tabTo("encrypted");
  await tabTo("create");
  await page.keyboard.press("Enter");
  await page.getByTestId("room").waitFor();
  await tabTo("settings-toggle");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await focused(), "settings-toggle", "the focus is where it was before the dialog");
  await page.keyboard.press("c");
  await page.getByTestId("chat-input").waitFor();
  await page.keyboard.type("mvcs");
  assert.equal(await page.getByTestId("chat-input").inputValue(), "mvcs", "what is typed is no shortcut");
  await tabTo("leave");
  await page.keyboard.press("Enter");
  await page.getByText("You have left the room").waitFor();
});
