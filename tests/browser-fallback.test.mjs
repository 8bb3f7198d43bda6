import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "./lib/eventually.mjs";
import { startNode } from "./lib/node.mjs";
import { servePages } from "./lib/page-server.mjs";
import { enter, openParticipant, quantile, report, startKnownBrowser } from "./lib/participant.mjs";

const HIDDEN = [
  "VideoEncoder", "VideoDecoder", "AudioEncoder", "AudioDecoder", "EncodedVideoChunk", "EncodedAudioChunk",
  "VideoFrame", "AudioData",
];

test("a browser without WebCodecs talks to one that has it, and to another one without", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const [ann, bob, cid] = await Promise.all([1, 2, 3].map(() => openParticipant(t, browser, pages)));
  const hide = (names) => {
    for (const name of names) delete window[name];
  };
  // The page's own measuring of its camera needs WebCodecs, so nothing of it is measured here.
  for (const page of [ann, cid]) {
    await page.evaluate(hide, HIDDEN);
    assert.equal(await page.evaluate(() => sdk.support().webCodecs), false);
  }
  const { url } = node;
  const room = await enter(ann, { url, name: "ann", publish: false });
  await enter(bob, { url, room, name: "bob" });
  await enter(cid, { url, room, name: "cid", publish: false });
  await ann.evaluate(async () => {
    await participant.room.publishCamera();
    await participant.room.publishMicrophone({ processing: false });
  });
  const fine = (there, name) =>
    there.seen[name]?.length > 60 && there.tones[name]?.frequencies.length > 2;
  for (const [who, page, whom] of [["ann", ann, "bob"], ["bob", bob, "ann"], ["cid", cid, "ann"]]) {
    const there = await eventually(`${who} sees and hears ${whom}`, async () => {
      const now = await report(page);
      return fine(now, whom) && now;
    }, 30_000);
    const height = quantile(there.tones[whom].frequencies, 0.5);
    t.diagnostic(`${who} sees ${there.seen[whom].length} pictures of ${whom} and hears ${Math.round(height)} Hz`);
    assert.ok(Math.abs(height - 1_000) < 10, "the tone is the one that was played");
    assert.deepEqual(there.events.filter(([what]) => what === "error" || what === "track"), []);
  }
});
