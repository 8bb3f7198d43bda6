import type { AudioOptions, MicrophoneOptions, VideoOptions } from "../capture/presets.js";
import { decodes } from "../codecs/families.js";
import type { Connection } from "../connection/connection.js";
import type { Link } from "../connection/reconnector.js";
import { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import { asWeirError, closedError, refusal, WeirError } from "../errors.js";
import { type Member, memberSuccession, wireMetadata } from "../members/member.js";
import { loudness, Speakers } from "../members/speakers.js";
import { newSecret, proves, type Succession } from "../members/succession.js";
import type {
  Json,
  JsonObject,
  Notices,
  ReceivedHeader,
  Requests,
  RoomInfo,
  TrackDescription,
  WireMember,
} from "../protocol.js";
import type { LocalTrack } from "../tracks/local-track.js";
import { Publications, type PublicationsHost } from "../tracks/publications.js";
import type { RemoteTrack } from "../tracks/remote-track.js";
import type { ChunkTransform } from "../transform/transform.js";
import { Sound } from "./audio-output.js";
import type { ConnectionState, JoinOptions, MessageOptions, RoomEvents } from "./events.js";
import { Roster, type RosterHost } from "./roster.js";
import { type Change, difference, View } from "./view.js";

/** How often it is looked who speaks. */
const SPEAKERS_MS = 200;
/** A seat that a lost connection still holds is free after the node's heartbeat has ended. */
const SEAT_HELD_MS = 60_000;
const SEAT_AGAIN_MS = 1_000;

type Secret = Awaited<ReturnType<typeof newSecret>>;

/** The room that it is in, and what it needs to come back into it. */
interface Membership {
  room: string;
  options: JoinOptions;
  selfId: string;
  view: View;
  /** Proves to the others that who comes back is the same. */
  secret: Secret;
}

/** A connection to a cluster, and the room that it is in. Made by {@link connect}. */
export class Room extends Emitter<RoomEvents> {
  readonly #link: Link;
  readonly #transform: ChunkTransform | undefined;
  readonly #clock = new ServerClock();
  readonly #speakers = new Speakers();
  readonly #sound: Sound;
  readonly #over = new AbortController();
  #state: ConnectionState = "connected";
  #membership: Membership | undefined;
  /** Connection that the membership belongs to, even before the state reflects it. */
  #home: Connection | undefined;
  /** Call of {@link join} whose answer is pending. */
  #joining: Promise<void> | undefined;
  #leaving = false;
  /** Error that ended the room. */
  #endedBy: WeirError | undefined;
  /** What arrived before the answer to `room:join` was taken in. */
  #early: (() => void)[] | undefined;
  #listening: ReturnType<typeof setInterval> | undefined;
  #errorsTold = new Map<string, number>();

  /** @internal Use {@link connect}. */
  constructor(link: Link, connection: Connection, transform: ChunkTransform | undefined) {
    super();
    this.#link = link;
    this.#transform = transform;
    this.#sound = new Sound((blocked) => this.emit("audio:blocked", blocked));
    this.#listen(connection);
    link.on("down", (error) => this.#down(error));
    link.on("up", (next) => this.#up(next));
    link.on("failed", (error) => this.#end(error));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The room that it is in, also while it reconnects. */
  get info(): RoomInfo | undefined {
    return this.#membership?.view.room;
  }

  get self(): Member | undefined {
    return this.#membership && this.#roster.members.get(this.#membership.selfId);
  }

  /** Everybody in the room by id, oneself included. */
  get members(): ReadonlyMap<string, Member> {
    return this.#roster.members;
  }

  /** The others' tracks by id. */
  get tracks(): ReadonlyMap<number, RemoteTrack> {
    return this.#roster.tracks;
  }

  /** One's own tracks. */
  get published(): ReadonlySet<LocalTrack> {
    return this.#publications.tracks;
  }

  /** Who speaks, the loudest first, oneself included. */
  get activeSpeakers(): readonly Member[] {
    return this.#speakers.active;
  }

  /** Whether the browser wants a click before sound is heard. */
  get audioBlocked(): boolean {
    return this.#sound.blocked;
  }

  /** To the node and back. */
  get roundTripMs(): number | undefined {
    return this.#link.connection?.roundTripMs;
  }

  /** Makes a room, and joins none. `room_exists` if the id is taken. */
  async create(options: { id?: string; metadata?: Json; maxMembers?: number } = {}): Promise<RoomInfo> {
    return (await this.#request("room:create", options)).room;
  }

  /**
   * Joins a room. Rejects with `room_not_found` (unless {@link JoinOptions.create}), `room_full` or
   * `already_joined`.
   */
  async join(room: string, options: JoinOptions = {}): Promise<void> {
    const joining = this.#join(this.#connection(), room, options);
    this.#joining = joining;
    try {
      await joining;
      this.#become("joined");
    } finally {
      if (this.#joining === joining) this.#joining = undefined;
    }
  }

  /**
   * Leaves the room, unpublishes own tracks and stops their captures. If the connection is lost, before or
   * during the call, the state becomes `closed` and the room does not reconnect.
   */
  async leave(): Promise<void> {
    if (this.#joining) {
      const joined = await this.#joining.then(
        () => true,
        () => false,
      );
      // A join that failed needs no leave.
      if (!joined) return;
    }
    if (this.#state === "reconnecting" && this.#membership) return this.#end(undefined);
    const connection = this.#connection();
    this.#leaving = true;
    try {
      await connection.request("room:leave", {});
    } catch (error) {
      const unheard = error instanceof WeirError && error.code === "timeout";
      if (this.#state !== "closed" && !unheard) throw error;
      this.#end(undefined);
      return;
    } finally {
      this.#leaving = false;
    }
    this.#forget();
    this.#become("connected");
  }

  /** Ends the connection, and everything with it. */
  close(): void {
    this.#end(undefined);
  }

  /** Changes one's own name or metadata. */
  async update(changes: { name?: string; metadata?: JsonObject }): Promise<void> {
    const { metadata, ...rest } = changes;
    const whole = metadata && {
      metadata: await this.#wireMetadata(metadata, this.#membership?.secret),
    };
    await this.#request("member:update", { ...rest, ...whole });
    // What it comes back with after a lost connection.
    if (this.#membership) this.#membership.options = { ...this.#membership.options, ...changes };
  }

  /** Sends a message to all others, or to those named; JSON with binary in it, at most 64 KiB. */
  async send(data: unknown, options: MessageOptions = {}): Promise<void> {
    await this.#request("message", { ...options, data });
  }

  /** Captures and publishes a camera; rejects as {@link captureCamera} does. */
  publishCamera(options: VideoOptions & { deviceId?: string } = {}): Promise<LocalTrack> {
    return this.#publications.camera(options);
  }

  /** Captures and publishes a microphone; rejects as {@link captureMicrophone} does. */
  publishMicrophone(options: MicrophoneOptions = {}): Promise<LocalTrack> {
    return this.#publications.microphone(options);
  }

  /** Has the user choose what to share, and publishes its picture and, if there is some, its sound. */
  publishScreen(options: VideoOptions & { audio?: boolean } = {}): Promise<LocalTrack[]> {
    return this.#publications.screen(options);
  }

  /** Publishes a track that was captured elsewhere; it is not stopped when it is unpublished. */
  async publish(
    track: MediaStreamTrack,
    options: VideoOptions & AudioOptions & { source?: string; name?: string } = {},
  ): Promise<LocalTrack> {
    return this.#publications.track({ track }, options);
  }

  /** Publishes a track of raw chunks, which {@link LocalTrack.write} sends. */
  publishChunks(description: TrackDescription): Promise<LocalTrack> {
    return this.#publications.chunks(description);
  }

  /** Lets the others be heard; to be called from a click if {@link audioBlocked}. */
  async startAudio(): Promise<void> {
    await this.#sound.start();
    for (const track of this.#roster.tracks.values()) track.unblock();
  }

  /** Has sound come out of another device; `not_supported` where the browser has no choice. */
  setSpeaker(deviceId: string): Promise<void> {
    return this.#sound.use(deviceId);
  }

  readonly #publications = new Publications(
    ((room: Room) => ({
      get connection() {
        return room.#link.connection;
      },
      get clock() {
        return room.#clock;
      },
      get transform() {
        return room.#transform;
      },
      closed: room.#over.signal,
      ready: () => room.#connection(),
      decodes: () =>
        [...room.#roster.members.values()].filter(({ isSelf }) => !isSelf).map((each) => each.decodes),
      updated: (track) => room.emit("local:updated", track),
      published: (track) => room.emit("local:published", track),
      unpublished: (track) => {
        if (room.#publications.tracks.delete(track)) room.emit("local:unpublished", track);
      },
      failed: (error) => room.#tell(error),
    }))(this) satisfies PublicationsHost,
  );

  readonly #roster = new Roster(
    ((room: Room) => ({
      get selfId() {
        return room.#membership?.selfId;
      },
      get autoSubscribes() {
        return room.#autoSubscribes;
      },
      get clock() {
        return room.#clock;
      },
      get transform() {
        return room.#transform;
      },
      request: (event, argument) => room.#request(event, argument),
      audioBlocked: () => room.#sound.unheard(),
      emit: (event, ...args) => room.emit(event, ...args),
    }))(this) satisfies RosterHost,
  );

  /** Returns the connection of its room, or the one outside a room. */
  #connection(): Connection {
    if (this.#state === "closed") throw closedError(this.#endedBy);
    const { connection } = this.#link;
    if (connection && (this.#state !== "reconnecting" || connection === this.#home)) return connection;
    throw new WeirError("disconnected", "there is no connection now; it is coming back");
  }

  async #request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]> {
    return this.#connection().request(event, argument);
  }

  async #join(connection: Connection, room: string, options: JoinOptions): Promise<void> {
    const { metadata = {}, create, ...rest } = options;
    const secret = await newSecret();
    const last = this.#membership;
    // Omitted: the node's configuration decides.
    const creates = create === "return" ? (last ? true : undefined) : create;
    const after = last?.secret && { id: last.selfId, secret: last.secret.secret };
    const whole = await this.#wireMetadata(metadata, secret, after && { after });
    const early: (() => void)[] = [];
    this.#early = early;
    const askedAt = performance.now();
    try {
      const snapshot = await connection.request("room:join", {
        ...rest,
        room,
        metadata: whole,
        ...(creates === undefined ? {} : { create: creates }),
      });
      if (this.#state === "closed") throw closedError(this.#endedBy);
      this.#clock.observe(snapshot.self.joinedAt, askedAt, performance.now());
      const view = new View(snapshot);
      const before = last?.view ?? new View({ ...snapshot, members: [], tracks: [] });
      this.#membership = { room, options, selfId: snapshot.self.id, view, secret };
      this.#home = connection;
      // The room may not know yet that the lost connection's member is gone.
      if (last && last.selfId !== snapshot.self.id) view.retire(last.selfId);
      const kept = new Set(this.#roster.tracks.keys());
      for (const change of difference(before, view)) this.#apply(change);
      for (const id of kept) this.#roster.tracks.get(id)?.resume(this.#autoSubscribes);
      this.#listening ??= setInterval(() => this.#hear(), SPEAKERS_MS);
    } finally {
      if (this.#early === early) this.#early = undefined;
    }
    for (const step of early) step();
  }

  async #wireMetadata(metadata: JsonObject, secret: Secret, after?: Succession): Promise<JsonObject> {
    return wireMetadata(metadata, {
      decodes: await decodes(),
      transforms: this.#transform !== undefined,
      ...(secret && { seal: secret.seal }),
      ...after,
    });
  }

  /** Somebody who came back is not there twice. */
  async #succeed(came: WireMember): Promise<void> {
    const said = memberSuccession(came);
    const view = this.#membership?.view;
    const before = said.after && view?.members.get(said.after.id);
    if (!view || !before || !(await proves(said, memberSuccession(before)))) return;
    if (this.#membership?.view === view) for (const change of view.retire(before.id)) this.#apply(change);
  }

  get #autoSubscribes(): boolean {
    return this.#membership?.options.autoSubscribe !== false;
  }

  #listen(connection: Connection): void {
    const now = (step: () => void) => {
      if (this.#link.connection !== connection) return;
      if (this.#early) this.#early.push(step);
      else step();
    };
    connection.on("notice", (event, argument) => now(() => this.#notice(event, argument as never)));
    connection.on("media", (header, payload) => now(() => this.#media(header, payload)));
  }

  #media(header: ReceivedHeader, payload: Uint8Array): void {
    this.#roster.tracks.get(header.track)?.receive(header, payload);
  }

  #notice<E extends keyof Notices>(event: E, argument: Notices[E]): void {
    const notice = { event, argument } as {
      [N in keyof Notices]: { event: N; argument: Notices[N] };
    }[keyof Notices];
    switch (notice.event) {
      case "track:keyframe-requested":
        this.#publications.requestKey(notice.argument.track);
        return;
      case "room:closed":
        this.#forget();
        this.#become("connected");
        this.emit("room:closed", notice.argument.reason);
        return;
      case "message": {
        const { from, ...rest } = notice.argument;
        this.emit("message", { from: this.#roster.member(from), ...rest });
        return;
      }
      case "media:gap": {
        const { track, ...gap } = notice.argument;
        this.#roster.tracks.get(track)?.miss(gap);
        return;
      }
      case "node:draining":
        this.#link.move(notice.argument.reconnectInMs);
        return;
      case "error":
        this.#tell(refusal(notice.argument.error));
        return;
      default:
        for (const change of this.#membership?.view.apply(notice.event, notice.argument) ?? [])
          this.#apply(change);
    }
  }

  #apply(change: Change): void {
    this.#roster.apply(change);
    if (change.what !== "member:joined" && change.what !== "member:updated") return;
    this.#publications.suit();
    void this.#succeed(change.member);
  }

  #down(error: WeirError): void {
    if (this.#leaving) {
      this.#end(undefined);
      return;
    }
    this.#publications.suspend();
    this.#become("reconnecting", error);
  }

  async #up(connection: Connection): Promise<void> {
    this.#listen(connection);
    const membership = this.#membership;
    if (!membership) {
      this.#become("connected");
      return;
    }
    try {
      await this.#returnTo(connection, membership.room, membership.options);
    } catch (error) {
      const reason = asWeirError(error);
      if (connection.ended) return;
      // What may pass is tried again, over another connection.
      if (reason.retryable) this.#link.move(SEAT_AGAIN_MS);
      else this.#end(reason);
      return;
    }
    this.#become("joined");
    this.#publications.restore(connection);
  }

  /** The lost connection may still hold the seat: a full room is tried for as long as it can. */
  async #returnTo(connection: Connection, room: string, options: JoinOptions): Promise<void> {
    const until = performance.now() + SEAT_HELD_MS;
    for (;;) {
      try {
        await this.#join(connection, room, options);
        return;
      } catch (error) {
        const full = error instanceof WeirError && error.code === "room_full";
        if (!full || performance.now() > until) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, SEAT_AGAIN_MS));
    }
  }

  #hear(): void {
    const own = [...this.published].map((track) => ({ track, member: this.self }));
    const others = [...this.#roster.tracks.values()].map((track) => ({ track, member: track.member }));
    if (this.#speakers.observe(loudness([...own, ...others]), performance.now())) {
      this.emit("speakers", this.#speakers.active);
    }
  }

  /** Tells of an error that nobody waits for; of those that chunks cause, some each second are enough. */
  #tell(error: WeirError): void {
    const now = performance.now();
    if (now - (this.#errorsTold.get(error.code) ?? Number.NEGATIVE_INFINITY) < 1_000) return;
    this.#errorsTold.set(error.code, now);
    this.emit("error", error);
  }

  #become(state: ConnectionState, error?: WeirError): void {
    if (this.#state === "closed") return;
    this.#state = state;
    if (error) this.emit("state", state, error);
    else this.emit("state", state);
  }

  /** It is in no room any more. */
  #forget(): void {
    clearInterval(this.#listening);
    this.#listening = undefined;
    this.#membership = undefined;
    this.#home = undefined;
    this.#publications.clear();
    this.#roster.clear();
  }

  #end(error: WeirError | undefined): void {
    if (this.#state === "closed") return;
    this.#endedBy = error;
    this.#link.close(closedError(error));
    this.#forget();
    this.#sound.stop();
    this.#become("closed", error);
    this.#over.abort();
  }
}
