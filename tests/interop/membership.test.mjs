// Members come and go at random, and everybody has to end up with the same room.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startNode } from "../lib/servers/node.mjs";
import { Random, seedOf } from "../lib/harness/random.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { assertHistory, assertSameView, assertToldOnce, version } from "../lib/peers/view.mjs";

const STEPS = 200;

/** Steps that are under way at the same time: who comes and who goes cross each other. */
const AT_ONCE = 8;

/** The room hovers around this many. */
const MEMBERS = 20;

/** What who goes can do: each is told to the others with its reason. */
const GOING = [
  [(peer) => peer.request("room:leave"), "left"],
  [(peer) => peer.close(), "disconnected"],
  [(peer) => peer.vanish(), "disconnected"],
  [(peer) => peer.vanish({ reset: true }), "disconnected"],
];

test(`after ${STEPS} random joins, leaves and vanishing connections everybody sees the same room`, async (t) => {
  const seed = seedOf(t);
  const random = new Random(seed);
  const node = await startNode(t);
  const witness = await SocketPeer.connect(t, node.url, "websocket", "witness");
  const { room } = await witness.request("room:create");
  await witness.join(room.id);

  const present = new Set();
  const gone = new Map();
  let comings = 0;
  const come = async () => {
    const way = random.pick(["websocket", "websocket", "polling", "upgrade"]);
    const peer = await SocketPeer.connect(t, node.url, way, `${way} ${++comings}`);
    await peer.join(room.id, { metadata: { coming: comings } });
    present.add(peer);
  };
  const go = async () => {
    const peer = random.pick([...present]);
    present.delete(peer);
    // What hangs on polling has no connection of its own that could vanish.
    const ways = peer.transport === "websocket" ? GOING : GOING.slice(0, 2);
    const [leave, reason] = random.pick(ways);
    gone.set(peer, { reason, knew: version(peer) });
    await leave(peer);
  };

  const underWay = new Set();
  for (let step = 0; step < STEPS; step++) {
    const coming = random.below(2 * MEMBERS) >= present.size || present.size === 0;
    const next = (coming ? come() : go()).finally(() => underWay.delete(next));
    underWay.add(next);
    if (underWay.size >= AT_ONCE) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  assert.ok(comings > STEPS / 4 && gone.size > STEPS / 4, `${comings} came, ${gone.size} went; seed ${seed}`);

  await witness.until("is told of every leaving", () => witness.all("member:left").length >= gone.size);
  const fresh = await SocketPeer.connect(t, node.url, "websocket", "fresh");
  await fresh.join(room.id);
  const remaining = [witness, ...present];
  for (const peer of remaining) {
    await peer.until("sees the last one come", () => version(peer) === fresh.joined.version);
    assertSameView(peer, fresh);
    assertToldOnce(peer);
  }
  // Two versions of the room for each who came and went, one for each who is here: no other change.
  assert.equal(fresh.joined.version - witness.joined.version, comings + gone.size + 1);
  assert.equal(fresh.joined.members.length, remaining.length + 1);
  assertHistory([...remaining, ...gone.keys(), fresh], (peer) => gone.get(peer)?.knew ?? fresh.joined.version);
  for (const [peer, { reason }] of gone) {
    assert.equal(witness.all("member:left").find(({ id }) => id === peer.id).reason, reason, peer.label);
  }
});
