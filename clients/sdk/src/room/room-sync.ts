import type { Connection } from "../connection/connection.js";
import type { ServerClock } from "../connection/server-clock.js";
import type { WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import type { Notices, Requests, Snapshot } from "../protocol.js";
import type { ChunkTransform } from "../transform/transform.js";
import type { JoinOptions, RoomEvents } from "./events.js";
import { joinArgument, type Membership, predecessor } from "./membership.js";
import { Roster } from "./roster.js";
import { type Change, difference, type RoomNotice, View } from "./view.js";

/** Event from the node, except `media`. */
export type Notice = { [E in keyof Notices]: { event: E; argument: Notices[E] } }[keyof Notices];

/** Room services that synchronisation needs. */
interface RoomSyncHost {
  readonly clock: ServerClock;
  readonly transform: ChunkTransform | undefined;
  /** Returns the connection whose events count. */
  connection(): Connection | undefined;
  /** Returns the error of every call if the room is closed. */
  closed(): WeirError | undefined;
  request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]>;
  emit<E extends keyof RoomEvents>(event: E, ...args: RoomEvents[E]): void;
  /** Dispatches an event. Changes of the room come back through {@link RoomSync.update}. */
  notice(notice: Notice): void;
  /** Reports that a room was joined or rejoined. */
  entered(): void;
  /** Reports that a member joined or changed. */
  memberChanged(): void;
  audioBlocked(): void;
}

/** Keeps members and tracks in sync with the joined room, across reconnects. */
export class RoomSync {
  readonly roster: Roster;
  readonly #host: RoomSyncHost;
  #membership: Membership | undefined;
  /** Connection that the membership belongs to. */
  #home: Connection | undefined;
  /** Events that arrived before the answer to `room:join` was applied. */
  #early: (() => void)[] | undefined;

  constructor(host: RoomSyncHost) {
    this.#host = host;
    this.roster = new Roster({
      clock: host.clock,
      transform: host.transform,
      selfId: () => this.#membership?.selfId,
      autoSubscribes: () => this.#autoSubscribes,
      request: (event, argument) => host.request(event, argument),
      audioBlocked: () => host.audioBlocked(),
      emit: (event, ...args) => host.emit(event, ...args),
    });
  }

  /** Current membership, also during a reconnect; `undefined` outside a room. */
  get membership(): Membership | undefined {
    return this.#membership;
  }

  /** Connection that the membership belongs to. */
  get home(): Connection | undefined {
    return this.#home;
  }

  /** This client's own member. */
  get self(): Member | undefined {
    return this.#membership && this.roster.members.get(this.#membership.selfId);
  }

  get #autoSubscribes(): boolean {
    return this.#membership?.options.autoSubscribe !== false;
  }

  /** Joins or rejoins a room. Emits what differs from the last membership, then events that arrived meanwhile. */
  async join(connection: Connection, room: string, options: JoinOptions): Promise<void> {
    const last = this.#membership;
    const transforms = this.#host.transform !== undefined;
    const { argument, secret } = await joinArgument({ room, options, last, transforms });
    const early: (() => void)[] = [];
    this.#early = early;
    const askedAt = performance.now();
    try {
      const snapshot = await connection.request("room:join", argument);
      const closed = this.#host.closed();
      if (closed) throw closed;
      this.#host.clock.observe(snapshot.self.joinedAt, askedAt, performance.now());
      this.#home = connection;
      const selfId = snapshot.self.id;
      this.#enter(snapshot, { room, options, selfId, view: new View(snapshot), secret }, last);
    } finally {
      if (this.#early === early) this.#early = undefined;
    }
    for (const step of early) step();
  }

  /** Dispatches the events of `connection` while it is the current one. */
  listen(connection: Connection): void {
    const dispatch = (step: () => void) => {
      if (this.#host.connection() !== connection) return;
      if (this.#early) this.#early.push(step);
      else step();
    };
    connection.on("notice", (event, argument) =>
      dispatch(() => this.#host.notice({ event, argument } as Notice)),
    );
    connection.on("media", (header, payload) =>
      dispatch(() => this.roster.tracks.get(header.track)?.receive(header, payload)),
    );
  }

  /** Applies an event that changes the room, unless the snapshot contains the change already. */
  update<E extends RoomNotice>(event: E, argument: Notices[E]): void {
    for (const change of this.#membership?.view.apply(event, argument) ?? []) this.#apply(change);
  }

  /** Changes the options that a rejoin uses. */
  remember(changes: Pick<JoinOptions, "name" | "metadata">): void {
    if (this.#membership) this.#membership.options = { ...this.#membership.options, ...changes };
  }

  /** Discards the membership. The roster keeps its members and tracks until it is cleared. */
  leave(): void {
    this.#membership = undefined;
    this.#home = undefined;
  }

  /** Makes `next` the current membership, and emits the changes since `last`. */
  #enter(snapshot: Snapshot, next: Membership, last: Membership | undefined): void {
    const before = last?.view ?? new View({ ...snapshot, members: [], tracks: [] });
    this.#membership = next;
    // The room may still list the member of the lost connection.
    if (last && last.selfId !== next.selfId) next.view.retire(last.selfId);
    const kept = new Set(this.roster.tracks.keys());
    for (const change of difference(before, next.view)) this.#apply(change);
    for (const id of kept) this.roster.tracks.get(id)?.resume(this.#autoSubscribes);
    this.#host.entered();
  }

  #apply(change: Change): void {
    this.roster.apply(change);
    if (change.what !== "member:joined" && change.what !== "member:updated") return;
    this.#host.memberChanged();
    const view = this.#membership?.view;
    if (!view) return;
    void predecessor(view, change.member).then((id) => {
      if (id === undefined || this.#membership?.view !== view) return;
      for (const retired of view.retire(id)) this.#apply(retired);
    });
  }
}
