// Codecs that the browser reclaims, as Chrome does on hidden pages, are reopened.
// Reports: w3c/webcodecs#121 and w3c/webcodecs#889 (QuotaExceededError: codec reclaimed due to inactivity).
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { servePages } from "../../lib/servers/page-server.mjs";
import { enter, openParticipant, report, startKnownBrowser } from "../../lib/browser/participant.mjs";

const CODECS = ["VideoEncoder", "AudioEncoder", "VideoDecoder", "AudioDecoder"];
const TIMES = 3;

/** Makes the page keep every codec, so that the test can reclaim it. */
const keepCodecs = (names) => {
  window.codecs = [];
  for (const name of names) {
    const Native = window[name];
    window[name] = class extends Native {
      constructor(init) {
        super(init);
        codecs.push({ name, codec: this, error: init.error });
      }
    };
  }
};

/** Reclaims every configured codec as the browser does: closes it, then reports the error. */
const reclaim = () => {
  const taken = codecs.filter(({ codec }) => codec.state === "configured");
  for (const { codec, error } of taken) {
    codec.close();
    error(new DOMException("Codec reclaimed due to inactivity.", "QuotaExceededError"));
  }
  return taken.map(({ name }) => name).sort();
};

test("pictures and sound resume each time the browser reclaims their codecs", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const browser = await startKnownBrowser(t);
  const [ann, bob] = await Promise.all([0, 1].map(() => openParticipant(t, browser, pages)));
  for (const page of [ann, bob]) await page.evaluate(keepCodecs, CODECS);
  const room = await enter(ann, { url: node.url, name: "ann" });
  await enter(bob, { url: node.url, room, name: "bob", publish: false });
  const atBob = async () => {
    const { seen, tones } = await report(bob);
    return { pictures: seen.ann?.length ?? 0, tones: tones.ann?.onsets.length ?? 0 };
  };
  const goesOn = async (what) => {
    const before = await atBob();
    await eventually(what, async () => {
      const now = await atBob();
      return now.pictures > before.pictures + 10 && now.tones > before.tones + 1;
    });
  };
  await goesOn("bob sees and hears ann");
  const { sent: before } = await report(ann);
  for (let times = 1; times <= TIMES; times++) {
    assert.deepEqual(await ann.evaluate(reclaim), ["AudioEncoder", "VideoEncoder"]);
    await goesOn(`bob sees and hears ann after her encoders were taken ${times} times`);
    assert.deepEqual(await bob.evaluate(reclaim), ["AudioDecoder", "VideoDecoder"]);
    await goesOn(`bob sees and hears ann after his decoders were taken ${times} times`);
  }
  const [{ sent, events }, { events: told }] = await Promise.all([report(ann), report(bob)]);
  assert.deepEqual(sent.map(({ codec }) => codec), before.map(({ codec }) => codec), "with the same codecs");
  assert.deepEqual(events.filter(([what]) => what === "error"), []);
  assert.deepEqual(told.filter(([what]) => ["error", "track", "undecodable"].includes(what)), []);
});
