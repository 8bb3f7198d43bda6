import assert from "node:assert/strict";
import { test } from "node:test";
import { startBrowser } from "../lib/browser/browser.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { servePages } from "../lib/servers/page-server.mjs";
import { enter, openParticipant, report, startKnownBrowser } from "../lib/browser/participant.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const CODECS = { vp8: /^vp8$/, vp9: /^vp09\./, h264: /^avc1\./, av1: /^av01\./ };

test("every codec is published and played", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const bob = await openParticipant(t, browser, pages);
  const room = await enter(bob, { url: node.url, name: "bob", publish: false });
  for (const [codec, string] of Object.entries(CODECS)) {
    const ann = await openParticipant(t, browser, pages);
    const publish = { camera: { preset: "180p", codec }, microphone: false };
    await enter(ann, { url: node.url, room, name: codec, publish });
    await eventually(`${codec} is seen`, async () => (await report(bob)).seen[codec]?.length > 20);
    const { received, events } = await report(bob);
    assert.match(received.find(({ member }) => member === codec).codec, string);
    assert.deepEqual(events.filter(([what]) => what === "undecodable" || what === "track"), []);
    await ann.close();
  }
});

test("key chunks come every four seconds and once for simultaneous requests", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const ann = await openParticipant(t, await startKnownBrowser(t), pages);
  const room = await enter(ann, { url: node.url, name: "ann", publish: { microphone: false } });
  const peers = await Promise.all(["one", "two", "three"].map((name) => SocketPeer.connect(t, node.url, "websocket", name)));
  for (const peer of peers) await peer.join(room);
  const [peer] = peers;
  const [{ id }] = peer.joined.tracks;
  const keys = () => peer.chunks(id).filter(({ header }) => header.key).map(({ header }) => header.ts / 1_000);
  await peer.until("gets three key chunks that nobody asked for", () => keys().length >= 3);
  const pauses = keys().slice(1).map((ms, index) => ms - keys()[index]);
  t.diagnostic(`between key chunks: ${pauses.map(Math.round)} ms`);
  assert.ok(pauses.every((ms) => ms < 4_200));

  const before = keys().length;
  const newest = peer.chunks(id).at(-1).header.ts / 1_000;
  await Promise.all(peers.map((each) => each.request("track:request-keyframe", { track: id })));
  await peer.until("gets what all asked for", () => keys().length > before);
  assert.ok(keys()[before] - newest < 500, `it comes after ${keys()[before] - newest} ms`);
  await peer.until("half a second goes by", () => peer.chunks(id).at(-1).header.ts / 1_000 > newest + 500);
  assert.equal(keys().length, before + 1);
});

test("the codec changes for a newcomer that decodes nothing else, without interrupting others", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const [ann, bob] = await Promise.all([1, 2].map(() => openParticipant(t, browser, pages)));
  const room = await enter(ann, { url: node.url, name: "ann", publish: { microphone: false } });
  await enter(bob, { url: node.url, room, name: "bob", publish: false });
  await eventually("bob sees ann", async () => (await report(bob)).seen.ann?.length > 20);
  const peer = await SocketPeer.connect(t, node.url);
  await peer.join(room, { metadata: { weir: { decodes: ["h264", "opus"] } } });
  const { track } = await peer.event("track:updated", (told) => told.track.codec.startsWith("avc1"));
  await peer.until("gets a key chunk of it", () => {
    const chunk = peer.chunks(track.id).find(({ header, payload }) => header.key && payload[4] === 0x67 || header.key && payload[3] === 0x67);
    return chunk;
  });
  const before = (await report(bob)).seen.ann.length;
  await eventually("bob still sees ann", async () => (await report(bob)).seen.ann.length > before + 20);
});

test("sources can be replaced, and a source that ends ends its track", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startBrowser(t, { cameras: 2 });
  const ann = await openParticipant(t, browser, pages);
  const room = await enter(ann, { url: node.url, name: "ann", publish: false });
  const peer = await SocketPeer.connect(t, node.url);
  await peer.join(room);

  const ids = await ann.evaluate(async () => {
    window.camera = await participant.room.publishCamera();
    const { cameras } = await sdk.devices();
    return cameras.map(({ deviceId }) => deviceId);
  });
  assert.equal(ids.length, 2);
  const { track } = await peer.event("track:published");
  const flows = async (what) => {
    const count = peer.chunks(track.id).length;
    await peer.until(what, () => peer.chunks(track.id).length > count + 10);
    const times = peer.chunks(track.id).map(({ header }) => header.ts);
    assert.deepEqual(times, times.toSorted((one, other) => one - other), "the time never goes back");
  };
  await flows("the first camera is received");
  const used = () => ann.evaluate(() => window.camera.mediaStreamTrack.getSettings().deviceId);
  const other = ids.find((id) => id !== ids[0]);
  await ann.evaluate((id) => window.camera.setDevice(id), other);
  assert.equal(await used(), other);
  await flows("the second camera is received");
  await ann.evaluate(async () => {
    const drawn = document.createElement("canvas");
    const context = drawn.getContext("2d");
    setInterval(() => context.fillRect(Math.random() * 300, Math.random() * 150, 9, 9), 40);
    window.drawing = drawn.captureStream(25).getVideoTracks()[0];
    await window.camera.replace(window.drawing);
  });
  await flows("the drawing is received");
  await assert.rejects(
    ann.evaluate(() => window.camera.setDevice("none").catch(({ code }) => { throw new Error(code); })),
    /not_supported/,
  );
  // As if the source ended by itself.
  await ann.evaluate(() => {
    window.drawing.stop();
    window.drawing.dispatchEvent(new Event("ended"));
  });
  await peer.event("track:unpublished", ({ id }) => id === track.id);

  const codes = await ann.evaluate(async () => {
    const code = (promise) => promise.then(() => "", (error) => error.code);
    return [
      await code(participant.room.publishCamera({ deviceId: "no-such-camera" })),
      await code(participant.room.join("another")),
      await code(participant.room.send("x".repeat(70_000))),
    ];
  });
  assert.deepEqual(codes, ["device_not_found", "already_joined", "too_large"]);
});
