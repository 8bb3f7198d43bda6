import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { artefact } from "../lib/harness/artefacts.mjs";
import { startCluster } from "../lib/servers/cluster.mjs";
import { watchIdle } from "../lib/harness/machine.mjs";
import { servePages } from "../lib/servers/page-server.mjs";
import {
  enter, latencies, openParticipant, quantile, report, soundLatencies, startKnownBrowser,
} from "../lib/browser/participant.mjs";

const TALK_MS = Number(process.env.TALK ?? 120_000);

/**
 * Minimum idle share of the processors. Below it, two encoding and decoding browsers mostly wait for a core, and
 * the limits are multiplied.
 */
const IDLE = 0.15;
const BUSY = 5;

test("browsers on two nodes see and hear each other for two minutes", async (t) => {
  const { nodes } = await startCluster(t, 2);
  const pages = await servePages(t);
  const [ann, bob] = await Promise.all(
    [0, 1].map(async () => openParticipant(t, await startKnownBrowser(t), pages)),
  );
  const room = await enter(ann, { url: nodes[0].url, name: "ann" });
  await enter(bob, { url: nodes[1].url, room, name: "bob" });
  // The duration is under test.
  const idle = watchIdle();
  await pause(TALK_MS);
  const share = idle();
  const busy = share < IDLE ? BUSY : 1;
  t.diagnostic(`the processors are idle for ${Math.round(share * 100)} % of the time; the limits are ${busy}-fold`);
  await Promise.all([ann, bob].map((page, index) => page.screenshot({ path: artefact(`talk-${index + 1}.png`) })));
  const [atAnn, atBob] = await Promise.all([report(ann), report(bob)]);

  if (process.env.SHOW) console.log(atAnn.received, atBob.received);
  for (const [who, from, sender, receiver] of [["bob", "ann", atAnn, atBob], ["ann", "bob", atBob, atAnn]]) {
    const pictures = latencies(receiver.seen[from], sender.camera);
    const sounds = soundLatencies(receiver.tones[from].onsets, sender.tone.onsets);
    const ms = (all) => all.map((each) => each.ms);
    const [first, last] = [ms(pictures.slice(0, 900)), ms(pictures.slice(-900))];
    const figures = {
      pictures: pictures.length,
      p50: quantile(ms(pictures), 0.5),
      p95: quantile(ms(pictures), 0.95),
      sound: quantile(ms(sounds), 0.5),
      skew: Math.abs(quantile(ms(pictures), 0.5) - quantile(ms(sounds), 0.5)),
      growth: quantile(last, 0.5) - quantile(first, 0.5),
      firstFrame: receiver.firstFrameMs[from],
      tone: quantile(receiver.tones[from].frequencies, 0.5),
    };
    const line = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value * 10) / 10}`);
    t.diagnostic(`${who} sees and hears ${from}: ${line.join(", ")}`);
    assert.ok(1 - figures.pictures / (30 * (TALK_MS / 1_000)) < 0.05 * busy, "the picture moves");
    assert.ok(figures.p50 <= 120 * busy, "half of the pictures are seen within 120 ms");
    assert.ok(figures.p95 <= 250 * busy, "nearly all pictures are seen within 250 ms");
    assert.ok(figures.skew <= 60 * busy, "sound and picture are in step");
    // On a busy machine the skew fluctuates, but it must not grow without bound.
    assert.ok(figures.growth <= (busy > 1 ? 300 : 20), "the latency does not grow");
    assert.ok(Math.abs(figures.tone - 1_000) <= 10, "the tone is the one that was played");
    assert.ok(sounds.length > 0.9 * (TALK_MS / 1_000), "the tone is heard all the time");
    assert.deepEqual(receiver.events.filter(([what]) => what !== "state" && what !== "member:joined"), []);
  }
  assert.ok(atBob.firstFrameMs.ann <= 500 * busy, "the picture of those who are there appears within 500 ms");
});
