// A container track plays on after a piece is lost, its MediaSource has ended, or the browser's buffer is full.
// Reports: deepch/RTSPtoWeb#169 (SourceBuffer removed from the parent media source), mdn/content#36404
// (appendBuffer throws QuotaExceededError).
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../lib/eventually.mjs";
import { live } from "../lib/ffmpeg.mjs";
import { startBrowser } from "../lib/browser.mjs";
import { startNode } from "../lib/node.mjs";
import { servePages } from "../lib/page-server.mjs";
import { enter, openParticipant } from "../lib/participant.mjs";
import { SocketPeer } from "../lib/socket-peer.mjs";
import { WebmSplitter } from "../lib/webm.mjs";

/** Longer than the test takes; it ends when the test does. */
const STREAM_S = 120;

/** Publishes live WebM until the test ends; `change` may put other bytes in the place of a piece. */
async function stream(t, publisher, { inBand }) {
  const state = { change: (piece) => [piece.bytes] };
  let ended = false;
  t.after(() => (ended = true));
  const run = async () => {
    const splitter = new WebmSplitter();
    let track;
    for await (const bytes of live(STREAM_S)) {
      for (const piece of splitter.push(bytes)) {
        if (ended) return;
        if (piece.init) {
          const init = inBand ? {} : { init: piece.init.toString("base64") };
          const codec = 'video/WebM;codecs="VP8,Opus"';
          ({ track } = await publisher.request("track:publish", { kind: "video", codec, width: 640, height: 360, ...init }));
          if (inBand) publisher.emit("media", { track: track.id, ts: 0 }, piece.init);
          continue;
        }
        for (const payload of state.change(piece)) {
          publisher.emit("media", { track: track.id, ts: piece.timestamp * 1_000, key: piece.key }, payload);
        }
      }
    }
  };
  run().catch((error) => {
    if (!ended) state.error = error;
  });
  return state;
}

for (const inBand of [false, true]) {
  test(`live WebM plays on whatever happens to its MediaSource, its header ${inBand ? "sent as a piece" : "announced"}`, async (t) => {
    const node = await startNode(t);
    const pages = await servePages(t);
    const page = await openParticipant(t, await startBrowser(t), pages);
    await page.evaluate(() => {
      window.sources = [];
      const Native = MediaSource;
      window.MediaSource = class extends Native {
        constructor() {
          super();
          sources.push(this);
        }
      };
    });
    const publisher = await SocketPeer.connect(t, node.url);
    const { room } = await publisher.request("room:create");
    await publisher.join(room.id, { name: "ffmpeg" });
    await enter(page, { url: node.url, room: room.id, name: "viewer", publish: false });
    const published = await stream(t, publisher, { inBand });

    const plays = async (what) => {
      const before = await page.evaluate(() => participant.shown.ffmpeg ?? 0);
      await eventually(what, async () => {
        if (published.error) throw published.error;
        return (await page.evaluate(() => participant.shown.ffmpeg)) > before + 20;
      });
    };
    const count = () => page.evaluate(() => sources.length);
    await plays("it plays");
    assert.equal(await count(), 1);

    // The first half of a cluster is lost: what follows is parsed in the midst of a block, and fails.
    let lost = false;
    published.change = ({ bytes, key }) => {
      if (lost || key) return [bytes];
      lost = true;
      return [Buffer.concat([bytes.subarray(0, bytes.length / 2), Buffer.alloc(2_000, 0xff)])];
    };
    await eventually("a piece is lost", () => lost);
    await eventually("the MediaSource has ended", () => page.evaluate(() => sources[0].readyState !== "open"));
    await plays("it plays on after a lost piece");
    assert.equal(await count(), 2, "by another MediaSource");

    await page.evaluate(() => sources.at(-1).removeSourceBuffer(sources.at(-1).sourceBuffers[0]));
    await plays("it plays on after its SourceBuffer was removed");
    await page.evaluate(() => sources.at(-1).endOfStream("decode"));
    await plays("it plays on after its MediaSource was ended");
    assert.equal(await count(), 4);

    // Full as soon as more than three seconds are held.
    await page.evaluate(() => {
      window.full = 0;
      const { appendBuffer } = SourceBuffer.prototype;
      SourceBuffer.prototype.appendBuffer = function (bytes) {
        const { buffered } = this;
        if (buffered.length > 0 && buffered.end(buffered.length - 1) - buffered.start(0) > 3) {
          full += 1;
          throw new DOMException("full", "QuotaExceededError");
        }
        return appendBuffer.call(this, bytes);
      };
    });
    await eventually("the buffer is full twice", () => page.evaluate(() => full >= 2));
    await plays("it plays on after the buffer was full");
    assert.equal(await count(), 4, "by the same MediaSource");
  });
}
