// Members that join and leave a room at random.
import assert from "node:assert/strict";
import { SocketPeer } from "./socket-peer.mjs";
import { assertHistory, assertSameView, assertToldOnce, version } from "./view.mjs";

/** Ways to leave, each with the reason that the others are given. */
const GOODBYES = [
  [(peer) => peer.request("room:leave"), "left"],
  [(peer) => peer.close(), "disconnected"],
];

/** Ways to vanish, which need a connection that polling does not have. */
const FAILURES = [
  [(peer) => peer.vanish(), "disconnected"],
  [(peer) => peer.vanish({ reset: true }), "disconnected"],
];

/** A room whose members come and go. */
export class Churn {
  #t;
  #random;
  #options;
  /** Nodes by member. */
  #present = new Map();
  /** Reason of leaving and last known version, by former member. */
  #gone = new Map();
  #joins = 0;

  constructor(t, random, nodes, options) {
    this.#t = t;
    this.#random = random;
    this.#options = options;
    /** Nodes that take new members. */
    this.nodes = [...nodes];
  }

  /** Creates the room, with a witness who stays. */
  async start() {
    this.witness = await SocketPeer.connect(this.#t, this.nodes[0].url, "websocket", "witness");
    this.room = (await this.witness.request("room:create")).room.id;
    await this.witness.join(this.room);
    return this;
  }

  async #join() {
    const node = this.#random.pick(this.nodes);
    const way = this.#random.pick(this.#options.ways);
    const peer = await SocketPeer.connect(this.#t, node.url, way, `member ${++this.#joins} by ${way} on ${node.url}`);
    await peer.join(this.room, { metadata: { coming: this.#joins } });
    this.#present.set(peer, node);
  }

  async #leave() {
    const peer = this.#random.pick([...this.#present.keys()]);
    const ways = peer.transport === "websocket" ? [...GOODBYES, ...FAILURES] : GOODBYES;
    const [leave, reason] = this.#random.pick(ways);
    this.#forget(peer, reason);
    await leave(peer);
  }

  #forget(peer, reason) {
    this.#present.delete(peer);
    this.#gone.set(peer, { reason, knew: version(peer) });
  }

  /** Kills a node and with it all its members. */
  async kill(node) {
    this.nodes = this.nodes.filter((other) => other !== node);
    for (const [peer, where] of [...this.#present]) if (where === node) this.#forget(peer, "node-lost");
    await node.kill();
  }

  /** Executes `steps` random joins and leaves, at most `concurrency` at the same time. */
  async run(steps) {
    const { concurrency, members } = this.#options;
    const underWay = new Set();
    for (let step = 0; step < steps; step++) {
      const joins = this.#random.below(2 * members) >= this.#present.size || this.#present.size === 0;
      const next = (joins ? this.#join() : this.#leave()).finally(() => underWay.delete(next));
      underWay.add(next);
      if (underWay.size >= concurrency) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  }

  /** Asserts that everybody was told one history and sees the room as a newcomer finds it. */
  async check(steps) {
    const { witness } = this;
    const gone = this.#gone;
    assert.ok(this.#joins > steps / 4 && gone.size > steps / 4, `${this.#joins} joined, ${gone.size} left`);
    await witness.until("is told of every leaving", () => witness.all("member:left").length >= gone.size);
    const fresh = await SocketPeer.connect(this.#t, this.nodes.at(-1).url, "websocket", "fresh");
    await fresh.join(this.room);
    const remaining = [witness, ...this.#present.keys()];
    for (const peer of remaining) {
      await peer.until("sees the newcomer join", () => version(peer) === fresh.joined.version);
      assertSameView(peer, fresh);
      assertToldOnce(peer);
    }
    // Two versions of the room for each former member, one for each present member: no other change.
    assert.equal(fresh.joined.version - witness.joined.version, this.#joins + gone.size + 1);
    assert.equal(fresh.joined.members.length, remaining.length + 1);
    assertHistory([...remaining, ...gone.keys(), fresh], (peer) => gone.get(peer)?.knew ?? fresh.joined.version);
    for (const [peer, { reason }] of gone) {
      assert.equal(witness.all("member:left").find(({ id }) => id === peer.id).reason, reason, peer.label);
    }
  }
}

/**
 * Starts a room whose members come and go on `nodes`. The room has around `members` members, which connect in one of
 * `ways`; `concurrency` of their steps cross each other.
 */
export function startChurn(t, random, nodes, { ways, members, concurrency }) {
  return new Churn(t, random, nodes, { ways, members, concurrency }).start();
}
