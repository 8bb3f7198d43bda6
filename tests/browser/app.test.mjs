import assert from "node:assert/strict";
import { test } from "node:test";
import { goIn, sees, tileOf } from "../lib/browser/app.mjs";
import { openPage, startBrowser } from "../lib/browser/browser.mjs";
import { startCluster } from "../lib/servers/cluster.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { openGate } from "../lib/network/gate.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { startKnownBrowser } from "../lib/browser/participant.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

test("members on two nodes meet in the web app", async (t) => {
  const { nodes } = await startCluster(t, 2);
  const [one, other] = await Promise.all([startKnownBrowser(t), startKnownBrowser(t)]);
  const ann = await openPage(t, one, nodes[0].url);
  const link = new URL(await goIn(ann, "Ann"));
  const bob = await openPage(t, other, new URL(link.pathname, nodes[1].url).href);
  await goIn(bob, "Bob");
  await Promise.all([sees(ann, "Bob"), sees(bob, "Ann")]);
  await eventually("it is shown that Ann speaks", async () =>
    (await tileOf(bob, "Ann").getAttribute("data-speaking")) === "true");

  await ann.keyboard.press("v");
  await eventually("Ann's camera is off", async () => (await tileOf(bob, "Ann").locator("canvas").count()) === 0);
  await ann.keyboard.press("v");
  await sees(bob, "Ann");
  await ann.keyboard.press("m");
  await tileOf(bob, "Ann").getByText("Microphone off").waitFor();
  await ann.keyboard.press("m");

  await ann.getByTestId("screen-toggle").click();
  const screen = bob.getByRole("article", { name: "Screen of Ann" });
  await eventually("Ann's screen is seen", async () => (await screen.locator("canvas[width]").count()) === 1);
  await ann.getByTestId("screen-toggle").click();
  await screen.waitFor({ state: "detached" });

  await ann.getByTestId("chat-toggle").click();
  await ann.getByTestId("chat-input").fill("Hello, Bob");
  await ann.getByTestId("chat-input").press("Enter");
  await bob.getByTestId("chat-toggle").getByText("1 unread").waitFor();
  await bob.keyboard.press("c");
  await bob.getByTestId("chat-message").filter({ hasText: "Hello, Bob" }).waitFor();
  await bob.keyboard.press("Escape");
  await bob.getByTestId("stats-toggle").click();
  await bob.getByTestId("stats").getByText("Latency").waitFor();

  await bob.getByTestId("leave").click();
  await bob.getByText("You have left the room").waitFor();
  await eventually("Bob is gone", async () => (await tileOf(ann, "Bob").count()) === 0);
});

test("an encrypted room opens only with its complete link", async (t) => {
  const node = await startNode(t);
  const browser = await startKnownBrowser(t);
  const ann = await openPage(t, browser, node.url);
  const link = await goIn(ann, "Ann", { encrypted: true });
  assert.match(link, /#key=[\w-]{22}$/);
  const [bob, eve, cut] = await Promise.all([
    openPage(t, browser, link), openPage(t, browser, link.split("#")[0]), openPage(t, browser, link.slice(0, -5)),
  ]);
  await goIn(bob, "Bob");
  await Promise.all([sees(ann, "Bob"), sees(bob, "Ann")]);
  await goIn(eve, "Eve");
  await tileOf(eve, "Ann").locator('[data-failure="undecodable"]').waitFor();
  await cut.getByTestId("join").click();
  await cut.getByText("The link is not complete").waitFor();
});

test("each failure has its own message", async (t) => {
  const node = await startNode(t);
  const browser = await startBrowser(t);
  const unpermitted = await startBrowser(t, { permitted: false });
  const words = async (page, code) => {
    const shown = page.locator(`[data-failure="${code}"]`).first();
    await shown.waitFor();
    return shown.innerText();
  };
  const said = [];

  const denied = await openPage(t, unpermitted, node.url);
  said.push(await words(denied, "permission_denied"));

  const lost = await openPage(t, browser, `${node.url}/room/no-such-room`);
  await lost.getByTestId("join").click();
  said.push(await words(lost, "room_not_found"));

  const peer = await SocketPeer.connect(t, node.url);
  const { room } = await peer.ask("room:create", { maxMembers: 1 });
  await peer.ask("room:join", { room: room.id });
  const late = await openPage(t, browser, `${node.url}/room/${room.id}`);
  await late.getByTestId("join").click();
  said.push(await words(late, "room_full"));

  const gate = await openGate(t, node.url);
  const cut = await openPage(t, browser, gate.url);
  await goIn(cut, "Ann");
  gate.cut();
  said.push(await words(cut, "disconnected"));
  gate.mend();
  await eventually("the connection is back", async () =>
    (await cut.locator('[data-state="reconnecting"]').count()) === 0);

  // The killed node serves the page, so the browser reports its absence.
  const allowed = () => true;
  const doomed = await startNode(t);
  const left = await openPage(t, browser, doomed.url, { allowed });
  await goIn(left, "Bob");
  await doomed.kill();
  await left.locator('[data-state="reconnecting"]').waitFor();
  const outside = await openPage(t, browser, `${node.url}/?node=${doomed.url}`, { allowed });
  await outside.getByTestId("create").click();
  said.push(await words(outside, "disconnected"));

  for (const each of said) t.diagnostic(each.replaceAll("\n", " "));
  assert.equal(new Set(said).size, said.length, "no two failures are told in the same words");
});
