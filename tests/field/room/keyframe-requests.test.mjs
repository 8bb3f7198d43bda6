// Constant key chunk requests by viewers don't change the stream for all.
// Reports: ionorg/ion-sfu#540, versatica/mediasoup#232 and livekit/livekit#3490 (requests for key frames are
// not limited, or the second of two is lost).
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startCluster } from "../../lib/servers/cluster.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

const UNHURRIED = { WEIR_LIMITS__REQUEST_BURST: "100000", WEIR_LIMITS__REQUESTS_PER_SECOND: "100000" };

/** Duration of the requests: a rate is under test. */
const ASKED_MS = 4_000;

test("key chunk requests of viewers on two nodes reach the publisher once a second", async (t) => {
  const { nodes } = await startCluster(t, 2, UNHURRIED);
  const publisher = await SocketPeer.connect(t, nodes[0].url, "websocket", "publisher");
  await publisher.join("hall", { create: true });
  const viewers = await Promise.all(nodes.map((node) => SocketPeer.connect(t, node.url)));
  await Promise.all(viewers.map((viewer) => viewer.join("hall")));
  const { track } = await publisher.request("track:publish", { kind: "video", codec: "vp8" });
  await Promise.all(viewers.map((viewer) => viewer.event("track:published")));

  const times = [];
  publisher.socket.on("track:keyframe-requested", () => times.push(performance.now()));
  const start = performance.now();
  while (performance.now() - start < ASKED_MS) {
    const answers = viewers.map((viewer) => viewer.request("track:request-keyframe", { track: track.id }));
    assert.deepEqual(await Promise.all(answers), [{}, {}]);
    await pause(100);
  }
  // The last requests are forwarded at the end of their second.
  await publisher.until("is asked for the last time", () => times.at(-1) - start > ASKED_MS - 1_000 && times.length >= 4);
  const gaps = times.slice(1).map((time, at) => time - times[at]);
  // A timer of the node and one of this process lie between two of them.
  for (const gap of gaps) assert.ok(gap > 900, `asked again after ${gap} ms`);
  assert.ok(times[0] - start < 900, "the first is passed on at once");
});
