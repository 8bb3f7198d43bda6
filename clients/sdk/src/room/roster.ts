import { type Member, member } from "../members/member.js";
import { Timeline } from "../play/timeline.js";
import { RemoteTrack, type RemoteTrackHost } from "../tracks/remote-track.js";
import type { RoomEvents } from "./events.js";
import type { Change } from "./view.js";

/** Room services that a roster needs. */
interface RosterHost extends Omit<RemoteTrackHost, "member" | "timeline"> {
  selfId(): string | undefined;
  /** Whether tracks are subscribed to automatically. */
  autoSubscribes(): boolean;
  emit<E extends keyof RoomEvents>(event: E, ...args: RoomEvents[E]): void;
}

/** Members of a room and the tracks of the others, as the page sees them. */
export class Roster {
  readonly members = new Map<string, Member>();
  /** Tracks of the other members. */
  readonly tracks = new Map<number, RemoteTrack>();
  readonly #timelines = new Map<string, Timeline>();
  readonly #host: RosterHost;
  readonly #trackHost: RemoteTrackHost;

  constructor(host: RosterHost) {
    this.#host = host;
    const { clock, transform, request, audioBlocked } = host;
    this.#trackHost = {
      clock,
      transform,
      request,
      audioBlocked,
      member: (id) => this.member(id),
      timeline: (id) => this.#timeline(id),
    };
  }

  /** Returns the member of this id. A sender that has left is returned without a name. */
  member(id: string): Member {
    return this.members.get(id) ?? member({ id, name: "", metadata: {}, joinedAt: 0 }, undefined);
  }

  /** Applies a change and emits its event, except for this client's own joining and leaving. */
  apply(change: Change): void {
    const selfId = this.#host.selfId();
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
        const track = new RemoteTrack(change.track, this.#trackHost, this.#host.autoSubscribes());
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

  /** Removes all members and tracks without emitting events. */
  clear(): void {
    for (const track of this.tracks.values()) track.stop();
    this.tracks.clear();
    this.members.clear();
    this.#timelines.clear();
  }

  /** Returns the timeline that all tracks of a member share. */
  #timeline(id: string): Timeline {
    const timeline = this.#timelines.get(id) ?? new Timeline();
    this.#timelines.set(id, timeline);
    return timeline;
  }
}
