import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../lib/harness/eventually.mjs";
import { live } from "../lib/media/ffmpeg.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { servePages } from "../lib/servers/page-server.mjs";
import { enter, openParticipant, quantile, report, startKnownBrowser } from "../lib/browser/participant.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { WebmSplitter } from "../lib/media/webm.mjs";

const HIDDEN = [
  "VideoEncoder", "VideoDecoder", "AudioEncoder", "AudioDecoder", "EncodedVideoChunk", "EncodedAudioChunk",
  "VideoFrame", "AudioData",
];

test("a browser without WebCodecs talks to browsers with and without it", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const [ann, bob, cid] = await Promise.all([1, 2, 3].map(() => openParticipant(t, browser, pages)));
  const hide = (names) => {
    for (const name of names) delete window[name];
  };
  // Measuring the own camera needs WebCodecs, so this page does not.
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
    there.seen[name]?.length > 60 && there.tones[name]?.frequencies.length > 3;
  for (const [who, page, whom] of [["ann", ann, "bob"], ["bob", bob, "ann"], ["cid", cid, "ann"]]) {
    const there = await eventually(`${who} sees and hears ${whom}`, async () => {
      const now = await report(page);
      return fine(now, whom) && now;
    }, 90_000);
    const height = quantile(there.tones[whom].frequencies, 0.5);
    t.diagnostic(`${who} sees ${there.seen[whom].length} pictures of ${whom} and hears ${Math.round(height)} Hz`);
    // A player that catches up plays a few percent faster.
    assert.ok(Math.abs(height - 1_000) < 30, "the tone is the one that was played");
    assert.deepEqual(there.events.filter(([what]) => what === "error" || what === "track"), []);
  }
});

test("live WebM of another program plays, also for a late joiner", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const [early, late] = await Promise.all([1, 2].map(() => openParticipant(t, browser, pages)));
  const publisher = await SocketPeer.connect(t, node.url);
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id, { name: "ffmpeg" });
  const watch = (page, name) => enter(page, { url: node.url, room: room.id, name, publish: false });
  await watch(early, "early");

  const splitter = new WebmSplitter();
  let track;
  let chunks = 0;
  for await (const bytes of live(8)) {
    for (const piece of splitter.push(bytes)) {
      if (piece.init) {
        const codec = 'video/webm;codecs="vp8,opus"';
        const init = piece.init.toString("base64");
        const wanted = { kind: "video", codec, width: 640, height: 360, init };
        ({ track } = await publisher.request("track:publish", wanted));
      } else {
        await publisher.request("media", { track: track.id, ts: piece.timestamp * 1_000, key: piece.key }, piece.bytes);
        chunks += 1;
        if (chunks === 5) await watch(late, "late");
      }
    }
  }
  // The machine's speed decides how many of the 240 pictures are drawn.
  for (const [name, page, least] of [["early", early, 60], ["late", late, 30]]) {
    const shown = await eventually(`${name} is shown ${least} different pictures`, () =>
      page.evaluate((least) => participant.shown.ffmpeg > least && participant.shown.ffmpeg, least),
    );
    t.diagnostic(`${name} is shown ${shown} different pictures`);
    const { received, events } = await report(page);
    const [video] = received;
    assert.deepEqual([video.width, video.height], [640, 360], name);
    assert.deepEqual(events.filter(([what]) => what === "track" || what === "undecodable"), [], name);
  }
});
