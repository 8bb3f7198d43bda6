import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { servePages } from "../lib/servers/page-server.mjs";
import { enter, openParticipant, quantile, report, startKnownBrowser } from "../lib/browser/participant.mjs";

test("only members with the key see and hear encrypted media", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const open = () => openParticipant(t, browser, pages);
  const [ann, bob, eve, mallory] = await Promise.all([open(), open(), open(), open()]);
  const [key, other] = await ann.evaluate(() => Promise.all([sdk.generateKey(), sdk.generateKey()]));
  const { url } = node;
  const room = await enter(ann, { url, name: "ann", options: { key } });
  await enter(bob, { url, room, name: "bob", options: { key }, publish: false });
  // One without a key, one with a wrong key.
  await enter(eve, { url, room, name: "eve", publish: false });
  await enter(mallory, { url, room, name: "mallory", options: { key: other }, publish: false });

  const atBob = await eventually("bob sees and hears ann", async () => {
    const now = await report(bob);
    return now.seen.ann.length > 30 && now.tones.ann?.frequencies.length > 3 && now;
  });
  const height = quantile(atBob.tones.ann.frequencies, 0.5);
  assert.ok(Math.abs(height - 1_000) < 10, `the tone that is heard is the one that was played, not one of ${height} Hz`);
  assert.deepEqual(atBob.events.filter(([what]) => what === "undecodable"), []);

  for (const [name, page] of [["eve", eve], ["mallory", mallory]]) {
    const there = await report(page);
    assert.equal(there.received.length, 2);
    for (const track of there.received) {
      assert.ok(track.chunks > 30, `${name} receives ${track.kind}`);
      assert.equal(track.undecodable, track.chunks, `${name} makes no sense of ${track.kind}`);
      assert.ok(there.events.some(([what, kind]) => what === "undecodable" && kind === track.kind));
    }
    assert.deepEqual(there.seen.ann, [], `${name} sees nothing`);
    assert.deepEqual(there.tones.ann.onsets, [], `${name} hears nothing`);
  }

  await eve.evaluate(() => participant.room.close());
  await enter(eve, { url, room, name: "eve", options: { key }, publish: false });
  await eventually("with the key eve sees ann", async () => (await report(eve)).seen.ann.length > 30);
});
