// A member that leaves while disconnected does not return; an invalid address is refused at once.
// Reports: livekit/client-sdk-swift#256 (disconnecting does not end reconnecting),
// socketio/socket.io-client#480 (an address without a scheme).
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startBrowser } from "../../lib/browser/browser.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { servePages } from "../../lib/servers/page-server.mjs";
import { openParticipant } from "../../lib/browser/participant.mjs";
import { freePort } from "../../lib/network/ports.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** Longer than several reconnect delays of at most two seconds: the absence of attempts is under test. */
const WATCHED_MS = 6_000;

test("a member that leaves while reconnecting stays away, others return", async (t) => {
  const where = { listen: `127.0.0.1:${await freePort()}`, opsListen: "127.0.0.1:0" };
  const node = await startNode(t, {}, where);
  const pages = await servePages(t);
  // The killed node's connections end with an error, which the browser reports.
  const allowed = (text) => text.includes("WebSocket");
  const page = await openParticipant(t, await startBrowser(t), pages, { allowed });
  await page.evaluate(async (url) => {
    window.states = [];
    const [leaves, stays] = await Promise.all([sdk.connect(url), sdk.connect(url)]);
    const { id } = await leaves.create({ id: "lobby" });
    await leaves.join(id, { name: "leaves", create: true });
    await stays.join(id, { name: "stays", create: true });
    leaves.on("state", (state, error) => states.push([state, error?.code]));
    Object.assign(window, { leaves, stays });
  }, node.url);

  await node.kill();
  await eventually("both reconnect", () =>
    page.evaluate(() => leaves.state === "reconnecting" && stays.state === "reconnecting"));
  const { state, ms } = await page.evaluate(async () => {
    const from = performance.now();
    await leaves.leave();
    return { state: leaves.state, ms: performance.now() - from };
  });
  assert.equal(state, "closed");
  assert.ok(ms < 500, `${ms} ms`);
  assert.deepEqual(await page.evaluate(() => states), [["reconnecting", "disconnected"], ["closed", undefined]]);

  const again = await startNode(t, {}, where);
  await eventually("who stays is back", () => page.evaluate(() => stays.state === "joined"));
  const peer = await SocketPeer.connect(t, again.url);
  const { members } = await peer.join("lobby");
  await pause(WATCHED_MS);
  const names = [...members, ...peer.all("member:joined").map(({ member }) => member)].map(({ name }) => name);
  assert.ok(names.includes("stays") && !names.includes("leaves"), names.join());
  const code = await page.evaluate(() => leaves.send("x").catch(({ code, retryable }) => [code, retryable]));
  assert.deepEqual(code, ["closed", false]);
});

test("an unusable address is refused at once with a suggestion", async (t) => {
  const pages = await servePages(t);
  const page = await openParticipant(t, await startBrowser(t), pages);
  const refused = (url) =>
    page.evaluate(async (url) => {
      const from = performance.now();
      const error = await sdk.connect(url).catch((error) => error);
      return { code: error.code, retryable: error.retryable, message: error.message, fast: performance.now() - from < 1_000 };
    }, url);
  for (const [url, says] of [
    ["localhost:8080", 'write "http://localhost:8080"'],
    ["192.168.0.7:8080/x", 'write "http://192.168.0.7:8080/x"'],
    ["weir.example.com", 'write "https://weir.example.com"'],
    ["", "write the address of a node"],
    ["http://", "is not a URL"],
    ["http://localhost:99999", "port 99999"],
    ["ftp://localhost", 'scheme "ftp"'],
    ["javascript:alert(1)", 'scheme "javascript"'],
  ]) {
    const { code, retryable, message, fast } = await refused(url);
    assert.deepEqual({ code, retryable, fast }, { code: "bad_request", retryable: false, fast: true }, `${url}: ${message}`);
    assert.ok(message.includes(says), message);
    t.diagnostic(message);
  }
});
