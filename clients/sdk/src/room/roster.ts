import { type Member, member } from "../members/member.js";
import { Timeline } from "../play/timeline.js";
import { RemoteTrack, type RemoteTrackHost } from "../tracks/remote-track.js";
import type { RoomEvents } from "./events.js";
import type { Change } from "./view.js";

/** What a roster needs of its room. */
export interface RosterHost extends Omit<RemoteTrackHost, "member" | "timeline"> {
  readonly selfId: string | undefined;
  /** Whether tracks are received without asking. */
  readonly autoSubscribes: boolean;
  emit<E extends keyof RoomEvents>(event: E, ...args: RoomEvents[E]): void;
}

/** Who is in the room with what, as users see it. */
export class Roster {
  readonly members = new Map<string, Member>();
  /** The others' tracks. */
  readonly tracks = new Map<number, RemoteTrack>();
  readonly #timelines = new Map<string, Timeline>();
  readonly #host: RosterHost;

  constructor(host: RosterHost) {
    this.#host = host;
  }

  /** The member of this id; one without a name if there is none, since a message may be older than its sender's leaving. */
  member(id: string): Member {
    return this.members.get(id) ?? member({ id, name: "", metadata: {}, joinedAt: 0 }, undefined);
  }

  /** Takes a change over, and tells of it; not of oneself coming and going. */
  apply(change: Change): void {
    const { selfId } = this.#host;
    switch (change.what) {
      case "member:joined":
      case "member:updated": {
        const changed = member(change.member, selfId);
        this.members.set(changed.id, changed);
        if (!changed.isSelf || change.what === "member:updated") this.#host.emit(change.what, changed);
        return;
      }
      case "member:left": {
        const gone = this.member(change.member.id);
        this.members.delete(gone.id);
        this.#timelines.delete(gone.id);
        if (!gone.isSelf) this.#host.emit("member:left", gone, change.reason);
        return;
      }
      case "track:published": {
        if (change.track.member === selfId) return;
        const track = new RemoteTrack(change.track, this.#trackHost, this.#host.autoSubscribes);
        this.tracks.set(track.id, track);
        this.#host.emit("track:published", track);
        return;
      }
      case "track:updated": {
        const track = this.tracks.get(change.track.id);
        track?.update(change.track);
        if (track) this.#host.emit("track:updated", track);
        return;
      }
      case "track:unpublished": {
        const track = this.tracks.get(change.track.id);
        if (!track) return;
        this.tracks.delete(track.id);
        track.stop();
        this.#host.emit("track:unpublished", track);
        return;
      }
      case "room:updated":
        this.#host.emit("room:updated", change.room);
    }
  }

  /** Forgets all, without a word. */
  clear(): void {
    for (const track of this.tracks.values()) track.stop();
    this.tracks.clear();
    this.members.clear();
    this.#timelines.clear();
  }

  readonly #trackHost: RemoteTrackHost = ((roster: Roster) => ({
    request: (event, argument) => roster.#host.request(event, argument),
    member: (id) => roster.member(id),
    timeline: (id) => {
      const timeline = roster.#timelines.get(id) ?? new Timeline();
      roster.#timelines.set(id, timeline);
      return timeline;
    },
    get clock() {
      return roster.#host.clock;
    },
    get transform() {
      return roster.#host.transform;
    },
    audioBlocked: () => roster.#host.audioBlocked(),
  }))(this);
}
