import assert from "node:assert/strict";

/** Member that each versioned change concerns, by event. */
const ACTORS = {
  "member:joined": ({ member }) => member.id,
  "member:updated": ({ member }) => member.id,
  "member:left": ({ id }) => id,
  "track:published": ({ track }) => track.member,
  "track:updated": ({ track }) => track.member,
  "track:unpublished": ({ member }) => member,
};

/** Returns the changes of the room that `peer` received, in order. */
function changes(peer) {
  return peer.told
    .filter(({ event }) => event in ACTORS)
    .map(({ event, args: [change] }) => ({ event, change, actor: ACTORS[event](change) }));
}

/** Returns the newest version of the room that `peer` knows. */
export function version(peer) {
  return Math.max(peer.joined.version, ...changes(peer).map(({ change }) => change.version));
}

/** Returns the room as `peer` sees it: its state at joining with all later changes. */
export function view(peer) {
  const members = new Map(peer.joined.members.map((member) => [member.id, member]));
  const tracks = new Map(peer.joined.tracks.map((track) => [track.id, track]));
  for (const { event, change } of changes(peer)) {
    if (event === "member:joined" || event === "member:updated") members.set(change.member.id, change.member);
    if (event === "track:published" || event === "track:updated") tracks.set(change.track.id, change.track);
    if (event === "track:unpublished") tracks.delete(change.id);
    if (event === "member:left") {
      members.delete(change.id);
      for (const [id, track] of tracks) if (track.member === change.id) tracks.delete(id);
    }
  }
  return { members, tracks };
}

/** Asserts that `peer` sees the room as `fresh` found it when it joined. */
export function assertSameView(peer, fresh) {
  const seen = others(view(peer), peer, fresh);
  const found = others(view(fresh), peer, fresh);
  assert.deepEqual(seen, found, `${peer.label} sees another room than who joins now`);
}

function others({ members, tracks }, ...without) {
  const ids = without.map(({ id }) => id);
  const byId = (left, right) => (left.id < right.id ? -1 : 1);
  return {
    members: [...members.values()].filter(({ id }) => !ids.includes(id)).sort(byId),
    tracks: [...tracks.values()].filter(({ member }) => !ids.includes(member)).sort(byId),
  };
}

/**
 * Asserts that all `peers` of one room received one history. Each change arrives once and in the order of
 * its version, without gaps from joining up to `upTo(peer)`. A version means the same change for all. No
 * peer receives its own joining and leaving.
 */
export function assertHistory(peers, upTo = version) {
  const history = new Map();
  for (const peer of peers) {
    for (const told of changes(peer)) {
      const known = history.get(told.change.version) ?? told;
      history.set(told.change.version, known);
      assert.deepEqual(told, known, `${peer.label}: version ${told.change.version} is another change`);
    }
  }
  for (const peer of peers) {
    let last = peer.joined.version;
    const told = new Set();
    for (const { event, change, actor } of changes(peer)) {
      assert.ok(change.version > last, `${peer.label}: ${event} ${change.version} after ${last}`);
      assert.ok(actor !== peer.id || !/^member:(joined|left)$/.test(event), `${peer.label} is told of itself`);
      last = change.version;
      told.add(change.version);
    }
    for (let each = peer.joined.version + 1; each <= upTo(peer); each++) {
      const known = history.get(each);
      const ownLeaving = known?.event === "member:left" && known.actor === peer.id;
      assert.ok(told.has(each) || ownLeaving, `${peer.label} is not told version ${each}`);
    }
  }
}

/** Asserts that `peer` received each joining and leaving once, and no leaving without a joining. */
export function assertToldOnce(peer) {
  const joined = peer.all("member:joined").map(({ member }) => member.id);
  const left = peer.all("member:left").map(({ id }) => id);
  assert.equal(new Set(joined).size, joined.length, `${peer.label}: an arrival is told twice`);
  assert.equal(new Set(left).size, left.length, `${peer.label}: a leaving is told twice`);
  const known = new Set([...joined, ...peer.joined.members.map(({ id }) => id)]);
  assert.ok(left.every((id) => known.has(id)), `${peer.label}: somebody goes who was not there`);
}
