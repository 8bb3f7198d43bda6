// Headers of the web app and of long-polling: palavatv/palava#28 (framing a page that holds a camera),
// socketio/socket.io#4842 (a cache that serves one client's session to another).
import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import { test } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { goIn } from "../../lib/browser/app.mjs";
import { openPage, startBrowser } from "../../lib/browser/browser.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { servePages } from "../../lib/servers/page-server.mjs";

/** Fetches a response with its body as transferred. */
async function asked(url, headers = {}) {
  const [response] = await once(get(url, { headers, agent: false }), "response");
  const pieces = await response.toArray();
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) };
}

test("the app works with its security headers", async (t) => {
  const node = await startNode(t);
  const { headers, body } = await asked(node.url);
  assert.match(headers["content-security-policy"], /frame-ancestors 'self'/);
  assert.doesNotMatch(headers["content-security-policy"], /unsafe/);
  assert.equal(headers["referrer-policy"], "no-referrer");
  assert.match(headers["permissions-policy"], /camera=\(self\)/);
  assert.equal(headers["cross-origin-opener-policy"], "same-origin");
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.match(body.toString(), /<div id="app">/);
  // A violation of the policy is an error on the console, which fails the test.
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, node.url);
  await goIn(page, "Ann", { encrypted: true });
  await page.getByTestId("tile").locator("video").waitFor();
});

test("the browser recognises every directive of the headers", async (t) => {
  const node = await startNode(t);
  const browser = await startBrowser(t);
  const page = await (await browser.newContext()).newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  await page.goto(node.url);
  await page.getByTestId("create").waitFor();
  assert.deepEqual(said, []);
});

test("another origin cannot frame the app", async (t) => {
  const node = await startNode(t);
  const other = await servePages(t);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, `${other}/sdk.html`, {
    allowed: (text) => text.includes("frame-ancestors"),
  });
  const violation = page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
  await page.evaluate((url) => {
    const frame = document.createElement("iframe");
    frame.src = url;
    document.body.append(frame);
  }, node.url);
  assert.match((await violation).text(), new RegExp(node.url));
});

test("assets are sent as Brotli, gzip or uncompressed by Accept-Encoding", async (t) => {
  const node = await startNode(t);
  const index = (await asked(node.url)).body.toString();
  const paths = [...index.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path);
  assert.ok(paths.length >= 2, index);
  for (const path of paths) {
    const plain = await asked(node.url + path);
    const brotli = await asked(node.url + path, { "accept-encoding": "gzip, deflate, br, zstd" });
    const gzip = await asked(node.url + path, { "accept-encoding": "gzip" });
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.equal(brotli.headers["content-encoding"], "br");
    assert.equal(gzip.headers["content-encoding"], "gzip");
    assert.deepEqual(brotliDecompressSync(brotli.body), plain.body);
    assert.deepEqual(gunzipSync(gzip.body), plain.body);
    assert.ok(brotli.body.length < plain.body.length / 2, path);
    for (const { headers } of [plain, brotli, gzip]) assert.equal(headers.vary, "accept-encoding");
    assert.equal((await asked(`${node.url}${path}.br`)).status, 404);
  }
});

test("Socket.IO responses are not cacheable", async (t) => {
  const node = await startNode(t);
  const polling = `${node.url}/socket.io/?EIO=4&transport=polling`;
  const opened = await asked(polling);
  assert.equal(opened.status, 200);
  const { sid } = JSON.parse(opened.body.subarray(1));
  const posted = await fetch(`${polling}&sid=${sid}`, { method: "POST", body: "40" });
  const polled = await asked(`${polling}&sid=${sid}`);
  const unknown = await asked(`${polling}&sid=nobody`);
  assert.equal(unknown.status, 400);
  for (const headers of [opened.headers, polled.headers, unknown.headers]) {
    assert.equal(headers["cache-control"], "no-store");
  }
  assert.equal(posted.headers.get("cache-control"), "no-store");
});
