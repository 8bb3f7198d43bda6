import { expect, test } from "vitest";
import type { Snapshot, WireMember, WireTrack } from "../../src/protocol";
import { difference, View } from "../../src/room/view";

const member = (id: string, name = id): WireMember => ({ id, name, metadata: {}, joinedAt: 1 });
const track = (id: number, of: string, muted = false): WireTrack => ({
  id,
  member: of,
  kind: "video",
  codec: "vp8",
  muted,
});
const snapshot = (version: number, members: WireMember[], tracks: WireTrack[]): Snapshot => ({
  room: { id: "r", metadata: {}, maxMembers: 10, createdAt: 1 },
  self: member("self"),
  members,
  tracks,
  version,
});
const what = (changes: { what: string }[]) => changes.map((change) => change.what);

test("event older than the snapshot changes nothing", () => {
  const view = new View(snapshot(5, [member("a")], []));
  expect(view.apply("member:joined", { member: member("a"), version: 5 })).toEqual([]);
  expect(view.apply("member:left", { id: "a", reason: "left", version: 6 })).toHaveLength(1);
  expect(view.members.size).toBe(0);
});

test("each change is reported once, relative to the view", () => {
  const view = new View(snapshot(1, [], []));
  expect(what(view.apply("member:joined", { member: member("a"), version: 2 }))).toEqual(["member:joined"]);
  expect(what(view.apply("member:joined", { member: member("a", "b"), version: 3 }))).toEqual([
    "member:updated",
  ]);
  expect(what(view.apply("track:published", { track: track(1, "a"), version: 4 }))).toEqual([
    "track:published",
  ]);
  expect(what(view.apply("track:unpublished", { id: 1, member: "a", version: 5 }))).toEqual([
    "track:unpublished",
  ]);
  expect(view.apply("track:unpublished", { id: 1, member: "a", version: 6 })).toEqual([]);
  expect(view.apply("member:left", { id: "a", reason: "left", version: 6 })).toEqual([]);
});

test("difference lists removals before additions", () => {
  const before = new View(snapshot(9, [member("a"), member("b")], [track(1, "a"), track(2, "b")]));
  const after = new View(snapshot(30, [member("b", "B"), member("c")], [track(2, "b", true), track(3, "c")]));
  expect(
    difference(before, after).map((change) => [change.what, "track" in change ? change.track.id : ""]),
  ).toEqual([
    ["track:unpublished", 1],
    ["member:left", ""],
    ["member:updated", ""],
    ["member:joined", ""],
    ["track:updated", 2],
    ["track:published", 3],
  ]);
});

test("reused track id is another track", () => {
  const before = new View(snapshot(1, [member("a"), member("b")], [track(1, "a")]));
  const after = new View(snapshot(2, [member("a"), member("b")], [track(1, "b")]));
  expect(what(difference(before, after))).toEqual(["track:unpublished", "track:published"]);
});
