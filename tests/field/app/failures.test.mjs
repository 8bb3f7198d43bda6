// A track that cannot be decoded and a node that cannot be reached get an error message in the app.
// Reports: w3c/webcodecs#520 (a codec that VideoDecoder refuses), socketio/socket.io-client#480 (an address
// without a scheme).
import assert from "node:assert/strict";
import { test } from "node:test";
import { goIn, tileOf } from "../../lib/browser/app.mjs";
import { openPage, startBrowser } from "../../lib/browser/browser.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

test("the app reports unplayable tracks for as long as they are unplayable", async (t) => {
  const node = await startNode(t);
  const page = await openPage(t, await startBrowser(t), node.url);
  const room = new URL(await goIn(page, "Ann")).pathname.split("/").at(-1);
  const peer = await SocketPeer.connect(t, node.url);
  await peer.join(room, { name: "Camera" });
  const { track } = await peer.request("track:publish", { kind: "video", source: "camera", codec: "hvc1.1.6.L93.B0" });
  const sound = { kind: "audio", codec: "opus", sampleRate: 48_000, channels: 9 };
  const { track: microphone } = await peer.request("track:publish", { source: "microphone", ...sound });
  // The decoder refuses the codec only at the first chunk.
  peer.emit("media", { track: microphone.id, ts: 0 }, Buffer.from([1]));
  await tileOf(page, "Camera").getByText("No sound, this browser cannot play it").waitFor();
  const note = tileOf(page, "Camera").getByText("This browser cannot play it", { exact: true });
  await note.waitFor();
  await peer.request("track:update", { track: track.id, codec: "vp8" });
  await note.waitFor({ state: "detached" });
});

test("the app explains an invalid node address", async (t) => {
  const node = await startNode(t);
  const page = await openPage(t, await startBrowser(t), `${node.url}/?node=localhost:8080`);
  await page.getByTestId("create").click();
  const note = page.locator('[data-failure="bad_request"]').first();
  await note.waitFor();
  assert.match(await note.innerText(), /address is wrong\s+.*write "http:\/\/localhost:8080"/s);
});
