// A call continues after a restart of its only node, which keeps all state in memory.
// Report: socketio/socket.io#3382 (no client is back in the room after the server's restart).
import assert from "node:assert/strict";
import { test } from "node:test";
import { goIn, sees, tileOf } from "../../lib/browser/app.mjs";
import { openPage } from "../../lib/browser/browser.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { startKnownBrowser } from "../../lib/browser/participant.mjs";
import { freePort } from "../../lib/network/ports.mjs";

/** Signals of a crash, of Ctrl-C, and of a service manager. */
const ENDS = ["SIGKILL", "SIGINT", "SIGTERM"];

test("members see and hear each other again after their node restarts", async (t) => {
  const where = { listen: `127.0.0.1:${await freePort()}`, opsListen: "127.0.0.1:0" };
  let node = await startNode(t, {}, where);
  const [one, other] = await Promise.all([startKnownBrowser(t), startKnownBrowser(t)]);
  // The killed node serves their pages, and the browser reports its absence.
  const allowed = () => true;
  const ann = await openPage(t, one, node.url, { allowed });
  const link = await goIn(ann, "Ann");
  const bob = await openPage(t, other, link, { allowed });
  await goIn(bob, "Bob");
  const together = async () => {
    await Promise.all([sees(ann, "Bob"), sees(bob, "Ann")]);
    for (const [page, name] of [[ann, "Bob"], [bob, "Ann"]]) {
      await eventually(`${name} is heard`, async () =>
        (await tileOf(page, name).getAttribute("data-speaking")) === "true");
    }
  };
  await together();

  for (const signal of ENDS) {
    if (signal === "SIGKILL") await node.kill();
    else node.signal(signal);
    await node.exit;
    await Promise.all([ann, bob].map((page) => page.locator('[data-state="reconnecting"]').waitFor()));
    node = await startNode(t, {}, where);
    for (const page of [ann, bob])
      await page.locator('[data-state="reconnecting"]').waitFor({ state: "detached" });
    await together();
    for (const [page, name] of [[ann, "Bob"], [bob, "Ann"]]) {
      assert.equal(await tileOf(page, name).count(), 1, "nobody is there twice");
      assert.equal(await page.getByTestId("tile").count(), 2);
      assert.equal(await page.locator("[data-failure]").count(), 0, "no failure is shown");
      assert.equal(page.url(), link);
    }
  }

  // Only former members recreate a room: a mistyped link must not create one.
  const lost = await openPage(t, one, new URL("/room/mistyped", node.url).href, { allowed });
  await lost.getByTestId("join").click();
  await lost.locator('[data-failure="room_not_found"]').waitFor();
});
