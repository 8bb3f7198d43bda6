// Members come and go at random on three nodes, one of which is killed, and everybody has to end up
// with the same room.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCluster } from "../lib/servers/cluster.mjs";
import { Random, seedOf } from "../lib/harness/random.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { assertHistory, assertSameView, assertToldOnce, version } from "../lib/peers/view.mjs";

const STEPS = 500;

/** After so many of them a node is killed. */
const KILLED_AFTER = 250;

/** Steps that are under way at the same time: who comes and who goes cross each other. */
const AT_ONCE = 12;

/** The room hovers around this many. */
const MEMBERS = 60;

const GOING = [
  [(peer) => peer.request("room:leave"), "left"],
  [(peer) => peer.close(), "disconnected"],
  [(peer) => peer.vanish(), "disconnected"],
  [(peer) => peer.vanish({ reset: true }), "disconnected"],
];

test(`after ${STEPS} joins, leaves and vanishings on three nodes, one killed, all see the same room`, async (t) => {
  const random = new Random(seedOf(t));
  const { nodes } = await startCluster(t);
  const alive = [...nodes];
  const witness = await SocketPeer.connect(t, nodes[0].url, "websocket", "witness");
  const { room } = await witness.request("room:create");
  await witness.join(room.id);

  const present = new Map();
  const gone = new Map();
  let comings = 0;
  const come = async () => {
    const node = random.pick(alive);
    const label = `member ${++comings} on node ${nodes.indexOf(node)}`;
    const peer = await SocketPeer.connect(t, node.url, "websocket", label);
    await peer.join(room.id, { metadata: { coming: comings } });
    present.set(peer, node);
  };
  const go = async () => {
    const peer = random.pick([...present.keys()]);
    present.delete(peer);
    const [leave, reason] = random.pick(GOING);
    gone.set(peer, { reason, knew: version(peer) });
    await leave(peer);
  };
  const kill = async () => {
    const node = alive.pop();
    for (const [peer, where] of present) {
      if (where !== node) continue;
      present.delete(peer);
      gone.set(peer, { reason: "node-lost", knew: version(peer) });
    }
    await node.kill();
  };

  const underWay = new Set();
  for (let step = 0; step < STEPS; step++) {
    if (step === KILLED_AFTER) {
      await Promise.all(underWay);
      await kill();
    }
    const coming = random.below(2 * MEMBERS) >= present.size || present.size === 0;
    const next = (coming ? come() : go()).finally(() => underWay.delete(next));
    underWay.add(next);
    if (underWay.size >= AT_ONCE) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  assert.ok(comings > STEPS / 4 && gone.size > STEPS / 4, `${comings} came, ${gone.size} went`);

  await witness.until("is told of every leaving", () => witness.all("member:left").length >= gone.size, 20_000);
  const fresh = await SocketPeer.connect(t, alive[1].url, "websocket", "fresh");
  await fresh.join(room.id);
  const remaining = [witness, ...present.keys()];
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
