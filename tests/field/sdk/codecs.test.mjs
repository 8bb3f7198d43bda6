// An undecodable track is one error, and no stream of key chunk requests.
// Reports: w3c/webcodecs#520 and webadderallorg/Recordly#675 (spellings of codecs that VideoDecoder refuses),
// livekit/livekit#3490 (hundreds of requests for key frames a minute).
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startBrowser } from "../../lib/browser/browser.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { servePages } from "../../lib/servers/page-server.mjs";
import { openParticipant } from "../../lib/browser/participant.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** Duration of sending undecodable chunks: the number of errors and requests in it is under test. */
const WATCHED_MS = 5_000;
const EVERY_MS = 50;

const UNPLAYABLE = [
  { kind: "video", codec: "hvc1.1.6.L93.B0" },
  { kind: "video", codec: "of my own" },
  { kind: "video", codec: "video/nonsense" },
  { kind: "video", codec: 'video/webm;codecs="nonsense"' },
  { kind: "audio", codec: "opus", sampleRate: 48_000, channels: 9 },
  { kind: "audio", codec: "opus", sampleRate: 1, channels: 2 },
  { kind: "audio", codec: "speex" },
  { kind: "audio", codec: 'audio/webm;codecs="speex"' },
];

/** Subscribes the page to everything in `room`; `window.told[codec]` collects the events of each track. */
function watch(page, url, room) {
  return page.evaluate(
    async ({ url, room }) => {
      window.told = {};
      window.room = await sdk.connect(url);
      window.room.on("track:published", (track) => {
        const tell = (what) => (told[track.codec + (track.kind === "audio" ? track.id : "")] ??= []).push(what);
        tell("published");
        track.on("error", ({ code, retryable }) => tell([code, retryable]));
        track.on("firstframe", () => tell("firstframe"));
        if (track.kind === "video") track.attach(document.createElement("canvas"));
      });
      await window.room.join(room);
    },
    { url, room },
  );
}

/** Sends a chunk on each of `tracks` every 50 ms for `ms`. */
async function send(publisher, tracks, ms, header = {}) {
  for (let at = 0; at < ms; at += EVERY_MS) {
    for (const track of tracks) publisher.emit("media", { track, ts: at * 1_000, ...header }, Buffer.from([1, 2, 3]));
    await pause(EVERY_MS);
  }
}

/** Starts a page that watches a room, and a stock client that publishes in it. */
async function startScene(t) {
  const node = await startNode(t);
  const pages = await servePages(t);
  const page = await openParticipant(t, await startBrowser(t), pages);
  const publisher = await SocketPeer.connect(t, node.url);
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id);
  await watch(page, node.url, room.id);
  return { page, publisher };
}

/** Publishes pictures under each spelling of a codec. `window.asked` counts the key chunk requests of each. Runs in a page. */
async function publishPictures(spellings) {
  window.asked = {};
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 180];
  const context = canvas.getContext("2d");
  for (const [codec, encoded] of spellings) {
    const track = await room.publishChunks({ kind: "video", codec, width: 320, height: 180 });
    let key = true;
    asked[codec] = 0;
    track.on("keyrequest", () => {
      asked[codec] += 1;
      key = true;
    });
    const encoder = new VideoEncoder({
      output: (chunk) => {
        const payload = new Uint8Array(chunk.byteLength);
        chunk.copyTo(payload);
        track.write(payload, { key: chunk.type === "key" });
      },
      error: (error) => console.error(String(error)),
    });
    const annexb = encoded.startsWith("avc1") ? { avc: { format: "annexb" } } : {};
    encoder.configure({ codec: encoded, width: 320, height: 180, bitrate: 200_000, latencyMode: "realtime", ...annexb });
    let count = 0;
    setInterval(() => {
      context.fillStyle = `hsl(${(count * 20) % 360} 80% 50%)`;
      context.fillRect(0, 0, 320, 180);
      const frame = new VideoFrame(canvas, { timestamp: count++ * 100_000 });
      if (encoder.encodeQueueSize < 3) {
        encoder.encode(frame, { keyFrame: key });
        key = false;
      }
      frame.close();
    }, 100);
  }
}

/** Publishes sound under a spelling of Opus. Runs in a page. */
async function publishSound(codec) {
  const sound = await room.publishChunks({ kind: "audio", codec, sampleRate: 48_000, channels: 1 });
  const encoder = new AudioEncoder({
    output: (chunk) => {
      const payload = new Uint8Array(chunk.byteLength);
      chunk.copyTo(payload);
      sound.write(payload, { key: true });
    },
    error: (error) => console.error(String(error)),
  });
  encoder.configure({ codec: "opus", sampleRate: 48_000, numberOfChannels: 1 });
  let samples = 0;
  setInterval(() => {
    const data = new Float32Array(4_800).map((_, index) => Math.sin((samples + index) / 20) / 4);
    const timestamp = Math.round((samples * 1_000_000) / 48_000);
    samples += data.length;
    encoder.encode(new AudioData({ format: "f32", sampleRate: 48_000, numberOfFrames: data.length, numberOfChannels: 1, timestamp, data }));
  }, 100);
}

test("each undecodable track reports one error until its codec changes", async (t) => {
  const { page, publisher } = await startScene(t);

  const ids = [];
  for (const description of UNPLAYABLE) {
    const { track } = await publisher.request("track:publish", description);
    ids.push(track.id);
  }
  await send(publisher, ids, WATCHED_MS);
  const told = await page.evaluate(() => told);
  assert.deepEqual(
    Object.values(told),
    UNPLAYABLE.map(() => ["published", ["not_supported", false]]),
    JSON.stringify(told),
  );
  assert.deepEqual(publisher.all("track:keyframe-requested"), [], "no key chunk is asked for");
  const errors = await page.evaluate(() => [...room.tracks.values()].map(({ error }) => error?.message));
  for (const error of errors) t.diagnostic(error);

  await publisher.request("track:update", { track: ids[0], codec: "AVC9.more" });
  await eventually("another codec is tried, and refused", () => page.evaluate(() => told["AVC9.more"]?.length === 1));
  await publisher.request("track:update", { track: ids[0], codec: "VP8" });
  await send(publisher, [ids[0]], 1_000);
  assert.equal(await page.evaluate(() => [...room.tracks.values()][0].error), undefined);
  assert.ok(publisher.all("track:keyframe-requested").length > 0, "a codec that is known is asked for a key chunk");
});

test("unanswered key chunk requests back off", async (t) => {
  const { page, publisher } = await startScene(t);
  const { track } = await publisher.request("track:publish", { kind: "video", codec: "vp8" });
  // One marked chunk, so that unmarked ones do not count as key chunks.
  publisher.emit("media", { track: track.id, ts: 0, key: true }, Buffer.from([1]));
  await send(publisher, [track.id], WATCHED_MS);
  const silent = publisher.all("track:keyframe-requested").length;
  // These chunks are marked as key chunks, and are none.
  await send(publisher, [track.id], WATCHED_MS, { key: true });
  const garbled = publisher.all("track:keyframe-requested").length - silent;
  t.diagnostic(`${silent} requests in 5 s without an answer, ${garbled} in 5 s with answers that make no sense`);
  assert.ok(silent >= 1 && silent <= 4, `${silent} requests`);
  assert.ok(garbled <= 2, `${garbled} requests`);
});

test("codec names are case-insensitive, and raw tracks receive key chunk requests", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startBrowser(t);
  const [publisher, viewer] = await Promise.all([0, 1].map(() => openParticipant(t, browser, pages)));
  const id = await publisher.evaluate(async (url) => {
    window.room = await sdk.connect(url);
    const { id } = await room.create();
    await room.join(id);
    return id;
  }, node.url);
  await publisher.evaluate(publishPictures, [
    ["VP8", "vp8"],
    ["Vp09.00.10.08", "vp09.00.10.08"],
    ["AVC1.42e01f", "avc1.42E01F"],
    ["AV01.0.04m.08", "av01.0.04M.08"],
    ["H264", "avc1.42E01F"],
  ]);
  await publisher.evaluate(publishSound, "Opus");
  await watch(viewer, node.url, id);
  await eventually("all are seen or heard", async () => {
    const told = await viewer.evaluate(() => told);
    const errors = Object.entries(told).filter(([, what]) => what.some(Array.isArray));
    assert.deepEqual(errors, [], "none is refused");
    return Object.values(told).length === 6 && Object.values(told).every((what) => what.includes("firstframe"));
  });
  const asked = await publisher.evaluate(() => asked);
  for (const [codec, count] of Object.entries(asked)) assert.ok(count > 0, `${codec}: the page was asked for a key chunk`);
});
