import type { LeaveReason, Notices, RoomInfo, Snapshot, WireMember, WireTrack } from "../protocol.js";

/** Change of one thing in a room. */
export type Change =
  | { what: "member:joined"; member: WireMember }
  | { what: "member:updated"; member: WireMember }
  | { what: "member:left"; member: WireMember; reason: LeaveReason }
  | { what: "track:published"; track: WireTrack }
  | { what: "track:updated"; track: WireTrack }
  | { what: "track:unpublished"; track: WireTrack }
  | { what: "room:updated"; room: RoomInfo };

/** Events that change a room. */
export type RoomNotice = Exclude<
  keyof Notices,
  "track:keyframe-requested" | "room:closed" | "message" | "media:gap" | "node:draining" | "error"
>;

/** State of a room as this client knows it: a snapshot, and the changes since. */
export class View {
  #room: RoomInfo;
  #version: number;
  readonly members = new Map<string, WireMember>();
  readonly tracks = new Map<number, WireTrack>();
  /** Ids of members that are hidden before the room reports them as gone. */
  readonly #retired = new Set<string>();

  constructor(snapshot: Snapshot) {
    this.#room = snapshot.room;
    this.#version = snapshot.version;
    for (const member of snapshot.members) this.members.set(member.id, member);
    for (const track of snapshot.tracks) this.tracks.set(track.id, track);
  }

  /** Current properties of the room. */
  get room(): RoomInfo {
    return this.#room;
  }

  /** Removes a member and its tracks, and ignores later events about them. */
  retire(id: string): Change[] {
    const member = this.members.get(id);
    if (!member) return [];
    this.#retired.add(id);
    this.members.delete(id);
    const tracks = [...this.tracks.values()].filter((track) => track.member === id);
    for (const track of tracks) this.tracks.delete(track.id);
    return [
      ...tracks.map((track) => ({ what: "track:unpublished" as const, track })),
      { what: "member:left", member, reason: "disconnected" },
    ];
  }

  /** Applies an event. Returns the changes: none if the snapshot contained them already. */
  apply<E extends RoomNotice>(event: E, argument: Notices[E]): Change[] {
    if (argument.version <= this.#version) return [];
    this.#version = argument.version;
    const notice = { event, ...argument } as { [N in RoomNotice]: { event: N } & Notices[N] }[RoomNotice];
    switch (notice.event) {
      case "member:joined":
      case "member:updated": {
        if (this.#retired.has(notice.member.id)) return [];
        const what = this.members.has(notice.member.id) ? "member:updated" : "member:joined";
        this.members.set(notice.member.id, notice.member);
        return [{ what, member: notice.member }];
      }
      case "member:left": {
        const member = this.members.get(notice.id);
        if (!member) return [];
        this.members.delete(notice.id);
        return [{ what: "member:left", member, reason: notice.reason }];
      }
      case "track:published":
      case "track:updated": {
        if (this.#retired.has(notice.track.member)) return [];
        const what = this.tracks.has(notice.track.id) ? "track:updated" : "track:published";
        this.tracks.set(notice.track.id, notice.track);
        return [{ what, track: notice.track }];
      }
      case "track:unpublished": {
        const track = this.tracks.get(notice.id);
        if (!track) return [];
        this.tracks.delete(notice.id);
        return [{ what: "track:unpublished", track }];
      }
      case "room:updated":
        this.#room = notice.room;
        return [{ what: "room:updated", room: notice.room }];
    }
  }
}

/** Returns the changes between two views of a room: before a connection was lost, and after the rejoin. */
export function difference(before: View, after: View): Change[] {
  const changes: Change[] = [];
  for (const track of before.tracks.values()) {
    const now = after.tracks.get(track.id);
    if (now?.member !== track.member) changes.push({ what: "track:unpublished", track });
  }
  for (const member of before.members.values()) {
    if (!after.members.has(member.id)) changes.push({ what: "member:left", member, reason: "disconnected" });
  }
  if (JSON.stringify(before.room) !== JSON.stringify(after.room)) {
    changes.push({ what: "room:updated", room: after.room });
  }
  for (const member of after.members.values()) {
    const known = before.members.get(member.id);
    if (!known) changes.push({ what: "member:joined", member });
    else if (JSON.stringify(known) !== JSON.stringify(member))
      changes.push({ what: "member:updated", member });
  }
  for (const track of after.tracks.values()) {
    const known = before.tracks.get(track.id);
    if (known?.member !== track.member) changes.push({ what: "track:published", track });
    else if (JSON.stringify(known) !== JSON.stringify(track)) changes.push({ what: "track:updated", track });
  }
  return changes;
}
