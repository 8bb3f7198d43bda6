import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { artefact } from "../lib/harness/artefacts.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { servePages } from "../lib/servers/page-server.mjs";
import { enter, openParticipant, report, startKnownBrowser } from "../lib/browser/participant.mjs";

const NAMES = ["ann", "bob", "cid", "dee"];
const TALK_MS = 60_000;

test("four participants receive all chunks of each other for a minute", async (t) => {
  const node = await startNode(t);
  const pages = await servePages(t);
  const open = await Promise.all(
    NAMES.map(async () => openParticipant(t, await startKnownBrowser(t), pages)),
  );
  let room;
  for (const [index, page] of open.entries()) {
    room = await enter(page, { url: node.url, room, name: NAMES[index] });
  }
  const reports = () => Promise.all(open.map(report));
  // Received chunks are counted before sent ones at first, and after them in the end: busy pages answer late.
  const heard = await reports();
  const before = await reports();
  await pause(TALK_MS);
  const after = await reports();
  await open[0].screenshot({ path: artefact("four.png") });

  const one = (tracks, kind, name) => tracks.find((track) => track.kind === kind && track.member === name);
  const missing = (now) => {
    const all = [];
    for (const [to, { received }] of now.entries()) {
      for (const [from, { sent }] of after.entries()) {
        if (from === to) continue;
        for (const kind of ["video", "audio"]) {
          const count = one(sent, kind).chunks - one(before[from].sent, kind).chunks;
          const [got, had] = [received, heard[to].received].map((tracks) => one(tracks, kind, NAMES[from]));
          const [chunks, lost] = [got.chunks - (had?.chunks ?? 0), got.lost - (had?.lost ?? 0)];
          const line = `${NAMES[to]} gets ${chunks} of ${NAMES[from]}'s ${count} chunks of ${kind}, and is told of ${lost}`;
          if (chunks + lost < 0.99 * count) all.push(line);
        }
      }
    }
    return all;
  };
  let left;
  await eventually("all have received what was sent", async () => {
    left = missing(await reports());
    return left.length === 0;
  }).catch((error) => assert.deepEqual(left, [], error.message));

  for (const [to, receiver] of after.entries()) {
    for (const [from, sender] of after.entries()) {
      if (from === to) continue;
      const captured = sender.camera.length - before[from].camera.length;
      const seen = receiver.seen[NAMES[from]].length - (before[to].seen[NAMES[from]]?.length ?? 0);
      const share = seen / captured;
      t.diagnostic(`${NAMES[to]} sees ${Math.round(share * 1_000) / 10} % of ${NAMES[from]}'s ${captured} pictures`);
    }
  }
});
