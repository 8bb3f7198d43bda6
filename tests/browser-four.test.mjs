import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { artefact } from "./lib/artefacts.mjs";
import { startNode } from "./lib/node.mjs";
import { servePages } from "./lib/page-server.mjs";
import { enter, openParticipant, report, startKnownBrowser } from "./lib/participant.mjs";

const NAMES = ["ann", "bob", "cid", "dee"];
const TALK_MS = 60_000;

test("four participants at 640×360 for a minute receive what each of them sends", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const open = await Promise.all(
    NAMES.map(async () => openParticipant(t, await startKnownBrowser(t), pages)),
  );
  let room;
  for (const [index, page] of open.entries()) {
    room = await enter(page, { url: node.url, room, name: NAMES[index] });
  }
  const before = await Promise.all(open.map(report));
  await pause(TALK_MS);
  const after = await Promise.all(open.map(report));
  await open[0].screenshot({ path: artefact("four.png") });

  for (const [to, receiver] of after.entries()) {
    for (const [from, sender] of after.entries()) {
      if (from === to) continue;
      for (const kind of ["video", "audio"]) {
        const sent = (reports) => reports[from].sent.find((track) => track.kind === kind).chunks;
        const got = (reports) =>
          reports[to].received.find((track) => track.kind === kind && track.member === NAMES[from]);
        const count = sent(after) - sent(before);
        const received = got(after).chunks - (got(before)?.chunks ?? 0);
        const announced = got(after).lost - (got(before)?.lost ?? 0);
        assert.ok(
          received + announced >= 0.99 * count,
          `${NAMES[to]} gets ${received} of ${NAMES[from]}'s ${count} chunks of ${kind}, and is told of ${announced}`,
        );
      }
      const captured = sender.camera.length - before[from].camera.length;
      const seen = receiver.seen[NAMES[from]].length - (before[to].seen[NAMES[from]]?.length ?? 0);
      const share = seen / captured;
      t.diagnostic(`${NAMES[to]} sees ${Math.round(share * 1_000) / 10} % of ${NAMES[from]}'s ${captured} pictures`);
    }
  }
});
