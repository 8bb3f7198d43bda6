// A container track keeps playing after a lost piece, after its MediaSource ended, or when the browser's
// buffer is full.
// Reports: deepch/RTSPtoWeb#169 (SourceBuffer removed from the parent media source), mdn/content#36404
// (appendBuffer throws QuotaExceededError).
import assert from "node:assert/strict";
import { test } from "node:test";
import { startBrowser } from "../../lib/browser/browser.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { live } from "../../lib/media/ffmpeg.mjs";
import { Mp4Splitter } from "../../lib/media/mp4.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { servePages } from "../../lib/servers/page-server.mjs";
import { enter, openParticipant } from "../../lib/browser/participant.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";
import { WebmSplitter } from "../../lib/media/webm.mjs";

/** Length of the stream: longer than the test, which ends it. */
const STREAM_S = 200;
const SIZE = { width: 640, height: 360 };

const STREAMS = {
  "WebM, its header announced": {
    source: "webm",
    splitter: () => new WebmSplitter(),
    track: { kind: "video", codec: 'video/WebM;codecs="VP8,Opus"', ...SIZE },
  },
  "WebM, its header sent as a piece": {
    source: "webm",
    splitter: () => new WebmSplitter(),
    track: { kind: "video", codec: 'video/webm;codecs="vp8,opus"', ...SIZE },
    inBand: true,
  },
  "MP4, its header announced": {
    source: "mp4",
    splitter: () => new Mp4Splitter(1_000),
    track: { kind: "video", codec: 'video/mp4;codecs="AVC1.42c01e"', ...SIZE },
  },
  "WebM of sound, none of whose pieces is marked as a key chunk": {
    source: "sound",
    splitter: () => new WebmSplitter(),
    track: { kind: "audio", codec: "audio/webm;codecs=opus", sampleRate: 48_000, channels: 1 },
    unmarked: true,
  },
};

/** Publishes a live stream until the test ends; `change` may replace the bytes of a piece. */
function publish(t, publisher, { source, splitter, track: description, inBand, unmarked }) {
  const state = { change: ({ bytes }) => bytes };
  let ended = false;
  t.after(() => (ended = true));
  const run = async () => {
    const pieces = splitter();
    let track;
    let count = 0;
    const send = (payload, timestamp, key) =>
      publisher.emit("media", { track: track.id, ts: timestamp * 1_000, ...(key && !unmarked && { key }) }, payload);
    for await (const bytes of live(STREAM_S, source)) {
      for (const piece of pieces.push(bytes)) {
        if (ended) return;
        if (piece.init) {
          const init = inBand ? {} : { init: piece.init.toString("base64") };
          ({ track } = await publisher.request("track:publish", { ...description, ...init }));
          if (inBand) send(piece.init, 0, false);
        } else {
          count += 1;
          send(state.change({ ...piece, count }), piece.timestamp, piece.key);
        }
      }
    }
  };
  run().catch((error) => {
    if (!ended) state.error = error;
  });
  return state;
}

/** Makes the page keep each MediaSource, so that the test can inspect and break it. */
const keepSources = () => {
  window.sources = [];
  const Native = MediaSource;
  window.MediaSource = class extends Native {
    constructor() {
      super();
      sources.push(this);
    }
  };
};

/** Makes buffers report full once they hold more than three seconds. */
const limitBuffers = () => {
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
};

for (const [name, stream] of Object.entries(STREAMS)) {
  test(`a live container keeps playing after MediaSource faults: ${name}`, async (t) => {
    const node = await startNode(t);
    const pages = await servePages(t);
    const page = await openParticipant(t, await startBrowser(t), pages);
    await page.evaluate(keepSources);
    const publisher = await SocketPeer.connect(t, node.url);
    const { room } = await publisher.request("room:create");
    await publisher.join(room.id, { name: "ffmpeg" });
    await enter(page, { url: node.url, room: room.id, name: "viewer", publish: false });
    const published = publish(t, publisher, stream);

    const count = () => page.evaluate(() => sources.length);
    /** Frames shown for video; for audio, the newest source's buffered length in tenths of a second. */
    const progress = () =>
      page.evaluate((video) => {
        if (video) return participant.shown.ffmpeg ?? 0;
        const { buffered } = sources.at(-1)?.sourceBuffers[0] ?? { buffered: [] };
        return buffered.length === 0 ? 0 : buffered.end(buffered.length - 1) * 10;
      }, stream.track.kind === "video");
    const plays = async (what) => {
      const before = await progress();
      await eventually(what, async () => {
        if (published.error) throw published.error;
        return (await progress()) > before + 20;
      });
    };
    await plays("it plays");
    assert.equal(await count(), 1);

    // Simulates the node's report of missing chunks: playback resumes at the next chunk it can start at.
    await page.evaluate(() => [...participant.room.tracks.values()][0].miss({ from: 1, to: 1, reason: "lost" }));
    await plays("it plays on after a gap");
    assert.equal(await count(), 1, "by the same MediaSource");

    // Half of a piece is lost: the next bytes are parsed in the middle of a block or box, which fails.
    let lost = false;
    published.change = ({ bytes }) => {
      if (lost) return bytes;
      lost = true;
      return Buffer.concat([bytes.subarray(0, bytes.length / 2), Buffer.alloc(100_000, 0xff)]);
    };
    await eventually("the MediaSource has ended", () => page.evaluate(() => sources[0].readyState !== "open"));
    await plays("it plays on after a lost piece");
    assert.equal(await count(), 2, "by another MediaSource");

    await page.evaluate(() => sources.at(-1).removeSourceBuffer(sources.at(-1).sourceBuffers[0]));
    await plays("it plays on after its SourceBuffer was removed");
    await page.evaluate(() => sources.at(-1).endOfStream("decode"));
    await plays("it plays on after its MediaSource was ended");
    assert.equal(await count(), 4);

    await page.evaluate(limitBuffers);
    await eventually("the buffer is full twice", () => page.evaluate(() => full >= 2));
    await plays("it plays on after the buffer was full");
    assert.equal(await count(), 4, "by the same MediaSource");
  });
}
