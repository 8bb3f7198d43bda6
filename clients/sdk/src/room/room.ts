import type { AudioOptions, MicrophoneOptions, VideoOptions } from "../capture/presets.js";
import type { Connection } from "../connection/connection.js";
import type { Reconnector } from "../connection/reconnector.js";
import { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import { asWeirError, closedError, refusal, WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import { loudness, Speakers } from "../members/speakers.js";
import type {
  Json,
  JsonObject,
  Notices,
  Requests,
  RoomInfo,
  Snapshot,
  TrackDescription,
} from "../protocol.js";
import type { LocalTrack } from "../tracks/local-track.js";
import { Publications } from "../tracks/publications.js";
import type { RemoteTrack } from "../tracks/remote-track.js";
import type { ChunkTransform } from "../transform/transform.js";
import { AudioOutput } from "./audio-output.js";
import { ErrorThrottle } from "./error-throttle.js";
import type { ConnectionState, JoinOptions, MessageOptions, RoomEvents } from "./events.js";
import { joinArgument, type Membership, memberMetadata, predecessor } from "./membership.js";
import { REJOIN_MS, rejoin } from "./rejoin.js";
import { Roster } from "./roster.js";
import { type Change, difference, View } from "./view.js";

/** Interval at which speaking members are detected. */
const SPEAKERS_MS = 200;

/**
 * Connection to a cluster, and the room that it has joined. Created by {@link connect}.
 *
 * ```ts
 * const room = await connect("http://localhost:8080");
 * room.on("track:published", (track) => {
 *   if (track.kind === "video") track.attach(canvas);
 * });
 * await room.join("standup", { name: "Ann" });
 * ```
 */
export class Room extends Emitter<RoomEvents> {
  readonly #reconnector: Reconnector;
  readonly #transform: ChunkTransform | undefined;
  readonly #clock = new ServerClock();
  readonly #speakers = new Speakers();
  readonly #audio = new AudioOutput((blocked) => this.emit("audio:blocked", blocked));
  readonly #publications: Publications;
  readonly #roster: Roster;
  readonly #errors = new ErrorThrottle();
  /** Aborted when the room is closed. */
  readonly #over = new AbortController();
  #state: ConnectionState = "connected";
  #membership: Membership | undefined;
  /** Connection that the membership belongs to, even before the state reflects it. */
  #home: Connection | undefined;
  /** Pending {@link join}. */
  #joining: Promise<void> | undefined;
  #leaving = false;
  /** Error that closed the room. */
  #endedBy: WeirError | undefined;
  /** Events that arrived before the answer to `room:join` was applied. */
  #early: (() => void)[] | undefined;
  #speakerPoll: ReturnType<typeof setInterval> | undefined;

  /** @internal Use {@link connect}. */
  constructor(reconnector: Reconnector, connection: Connection, transform: ChunkTransform | undefined) {
    super();
    this.#reconnector = reconnector;
    this.#transform = transform;
    this.#publications = this.#newPublications();
    this.#roster = this.#newRoster();
    this.#listen(connection);
    reconnector.on("down", (error) => this.#disconnected(error));
    reconnector.on("up", (next) => this.#reconnected(next));
    reconnector.on("failed", (error) => this.#end(error));
  }

  /** State of the connection. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Properties of the joined room, also during a reconnect; `undefined` outside a room. */
  get info(): RoomInfo | undefined {
    return this.#membership?.view.room;
  }

  /** This client's own member; `undefined` outside a room. */
  get self(): Member | undefined {
    return this.#membership && this.#roster.members.get(this.#membership.selfId);
  }

  /** All members of the room by id, including this client's own. */
  get members(): ReadonlyMap<string, Member> {
    return this.#roster.members;
  }

  /** Tracks of the other members by id. */
  get tracks(): ReadonlyMap<number, RemoteTrack> {
    return this.#roster.tracks;
  }

  /** Tracks that this client publishes. */
  get published(): ReadonlySet<LocalTrack> {
    return this.#publications.tracks;
  }

  /** Speaking members, the loudest first, including this client's own. */
  get activeSpeakers(): readonly Member[] {
    return this.#speakers.active;
  }

  /** Whether the browser blocks audio until the user interacts with the page. See {@link startAudio}. */
  get audioBlocked(): boolean {
    return this.#audio.blocked;
  }

  /** Round-trip time to the node, in milliseconds; `undefined` before the first measurement. */
  get roundTripMs(): number | undefined {
    return this.#reconnector.connection?.roundTripMs;
  }

  /**
   * Creates a room without joining it. Without `id`, the node generates one. Rejects with `room_exists` if the
   * id is taken.
   */
  async create(options: { id?: string; metadata?: Json; maxMembers?: number } = {}): Promise<RoomInfo> {
    return (await this.#request("room:create", options)).room;
  }

  /**
   * Joins a room. Rejects with `room_not_found` (unless {@link JoinOptions.create} is set), `room_full` or
   * `already_joined`.
   */
  async join(room: string, options: JoinOptions = {}): Promise<void> {
    const joining = this.#join(this.#connection(), room, options);
    this.#joining = joining;
    try {
      await joining;
      this.#setState("joined");
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
      const timeout = error instanceof WeirError && error.code === "timeout";
      if (this.#state !== "closed" && !timeout) throw error;
      this.#end(undefined);
      return;
    } finally {
      this.#leaving = false;
    }
    this.#leaveRoom();
    this.#setState("connected");
  }

  /** Closes the connection permanently, leaves the room and stops all captures. */
  close(): void {
    this.#end(undefined);
  }

  /** Updates the name or the metadata of this client's own member. */
  async update(changes: { name?: string; metadata?: JsonObject }): Promise<void> {
    const { metadata, ...rest } = changes;
    const secret = this.#membership?.secret;
    const whole = metadata && {
      metadata: await memberMetadata(metadata, this.#transform !== undefined, secret),
    };
    await this.#request("member:update", { ...rest, ...whole });
    // A rejoin uses the new values.
    if (this.#membership) this.#membership.options = { ...this.#membership.options, ...changes };
  }

  /**
   * Sends a message to all other members, or to those named in `options.to`. `data` is JSON that may contain
   * binary values, at most 64 KiB.
   */
  async send(data: unknown, options: MessageOptions = {}): Promise<void> {
    await this.#request("message", { ...options, data });
  }

  /** Captures and publishes a camera. Rejects like {@link captureCamera}. */
  publishCamera(options: VideoOptions & { deviceId?: string } = {}): Promise<LocalTrack> {
    return this.#publications.camera(options);
  }

  /** Captures and publishes a microphone. Rejects like {@link captureMicrophone}. */
  publishMicrophone(options: MicrophoneOptions = {}): Promise<LocalTrack> {
    return this.#publications.microphone(options);
  }

  /** Prompts the user for a screen, and publishes its video and, if `audio` is set and available, its audio. */
  publishScreen(options: VideoOptions & { audio?: boolean } = {}): Promise<LocalTrack[]> {
    return this.#publications.screen(options);
  }

  /** Publishes a track that the page captured. Unpublishing does not stop it. */
  async publish(
    track: MediaStreamTrack,
    options: VideoOptions & AudioOptions & { source?: string; name?: string } = {},
  ): Promise<LocalTrack> {
    return this.#publications.track({ track }, options);
  }

  /** Publishes a track of raw chunks. Send them with {@link LocalTrack.write}. */
  publishChunks(description: TrackDescription): Promise<LocalTrack> {
    return this.#publications.chunks(description);
  }

  /** Unblocks audio. Call it from a click handler while {@link audioBlocked}. */
  async startAudio(): Promise<void> {
    await this.#audio.start();
    for (const track of this.#roster.tracks.values()) track.unblock();
  }

  /** Selects the speaker to play on. Rejects with `not_supported` in browsers that offer no choice. */
  setSpeaker(deviceId: string): Promise<void> {
    return this.#audio.select(deviceId);
  }

  #newPublications(): Publications {
    return new Publications({
      clock: this.#clock,
      transform: this.#transform,
      closed: this.#over.signal,
      connection: () => this.#reconnector.connection,
      ready: () => this.#connection(),
      decodes: () =>
        [...this.#roster.members.values()].filter(({ isSelf }) => !isSelf).map((each) => each.decodes),
      updated: (track) => this.emit("local:updated", track),
      published: (track) => this.emit("local:published", track),
      unpublished: (track) => {
        if (this.#publications.tracks.delete(track)) this.emit("local:unpublished", track);
      },
      failed: (error) => this.#report(error),
    });
  }

  #newRoster(): Roster {
    return new Roster({
      clock: this.#clock,
      transform: this.#transform,
      selfId: () => this.#membership?.selfId,
      autoSubscribes: () => this.#autoSubscribes,
      request: (event, argument) => this.#request(event, argument),
      audioBlocked: () => this.#audio.suppressed(),
      emit: (event, ...args) => this.emit(event, ...args),
    });
  }

  /** Returns the connection that requests go through. Throws `closed`, or `disconnected` during a reconnect. */
  #connection(): Connection {
    if (this.#state === "closed") throw closedError(this.#endedBy);
    const { connection } = this.#reconnector;
    if (connection && (this.#state !== "reconnecting" || connection === this.#home)) return connection;
    throw new WeirError("disconnected", "no connection; the SDK is reconnecting");
  }

  async #request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]> {
    return this.#connection().request(event, argument);
  }

  async #join(connection: Connection, room: string, options: JoinOptions): Promise<void> {
    const last = this.#membership;
    const transforms = this.#transform !== undefined;
    const { argument, secret } = await joinArgument({ room, options, last, transforms });
    const early: (() => void)[] = [];
    this.#early = early;
    const askedAt = performance.now();
    try {
      const snapshot = await connection.request("room:join", argument);
      if (this.#state === "closed") throw closedError(this.#endedBy);
      this.#clock.observe(snapshot.self.joinedAt, askedAt, performance.now());
      this.#home = connection;
      const selfId = snapshot.self.id;
      this.#enter(snapshot, { room, options, selfId, view: new View(snapshot), secret }, last);
    } finally {
      if (this.#early === early) this.#early = undefined;
    }
    for (const step of early) step();
  }

  /** Makes `next` the current membership, and emits the changes since `last`. */
  #enter(snapshot: Snapshot, next: Membership, last: Membership | undefined): void {
    const before = last?.view ?? new View({ ...snapshot, members: [], tracks: [] });
    this.#membership = next;
    // The room may still list the member of the lost connection.
    if (last && last.selfId !== next.selfId) next.view.retire(last.selfId);
    const kept = new Set(this.#roster.tracks.keys());
    for (const change of difference(before, next.view)) this.#apply(change);
    for (const id of kept) this.#roster.tracks.get(id)?.resume(this.#autoSubscribes);
    this.#speakerPoll ??= setInterval(() => this.#detectSpeakers(), SPEAKERS_MS);
  }

  get #autoSubscribes(): boolean {
    return this.#membership?.options.autoSubscribe !== false;
  }

  #listen(connection: Connection): void {
    const dispatch = (step: () => void) => {
      if (this.#reconnector.connection !== connection) return;
      if (this.#early) this.#early.push(step);
      else step();
    };
    connection.on("notice", (event, argument) => dispatch(() => this.#notice(event, argument as never)));
    connection.on("media", (header, payload) =>
      dispatch(() => this.#roster.tracks.get(header.track)?.receive(header, payload)),
    );
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
        this.#leaveRoom();
        this.#setState("connected");
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
        this.#reconnector.replace(notice.argument.reconnectInMs);
        return;
      case "error":
        this.#report(refusal(notice.argument.error));
        return;
      default:
        for (const change of this.#membership?.view.apply(notice.event, notice.argument) ?? [])
          this.#apply(change);
    }
  }

  #apply(change: Change): void {
    this.#roster.apply(change);
    if (change.what !== "member:joined" && change.what !== "member:updated") return;
    this.#publications.adapt();
    const view = this.#membership?.view;
    if (!view) return;
    void predecessor(view, change.member).then((id) => {
      if (id === undefined || this.#membership?.view !== view) return;
      for (const retired of view.retire(id)) this.#apply(retired);
    });
  }

  #disconnected(error: WeirError): void {
    if (this.#leaving) {
      this.#end(undefined);
      return;
    }
    this.#publications.suspend();
    this.#setState("reconnecting", error);
  }

  async #reconnected(connection: Connection): Promise<void> {
    this.#listen(connection);
    const membership = this.#membership;
    if (!membership) {
      this.#setState("connected");
      return;
    }
    try {
      await rejoin(() => this.#join(connection, membership.room, membership.options));
    } catch (error) {
      const reason = asWeirError(error);
      if (connection.ended) return;
      if (reason.retryable) this.#reconnector.replace(REJOIN_MS);
      else this.#end(reason);
      return;
    }
    this.#setState("joined");
    this.#publications.restore(connection);
  }

  #detectSpeakers(): void {
    const own = [...this.published].map((track) => ({ track, member: this.self }));
    const others = [...this.#roster.tracks.values()].map((track) => ({ track, member: track.member }));
    if (this.#speakers.observe(loudness([...own, ...others]), performance.now())) {
      this.emit("speakers", this.#speakers.active);
    }
  }

  /** Emits an error that no call reports. */
  #report(error: WeirError): void {
    if (this.#errors.admits(error, performance.now())) this.emit("error", error);
  }

  #setState(state: ConnectionState, error?: WeirError): void {
    if (this.#state === "closed") return;
    this.#state = state;
    if (error) this.emit("state", state, error);
    else this.emit("state", state);
  }

  /** Discards the membership with all members and tracks. */
  #leaveRoom(): void {
    clearInterval(this.#speakerPoll);
    this.#speakerPoll = undefined;
    this.#membership = undefined;
    this.#home = undefined;
    this.#publications.clear();
    this.#roster.clear();
  }

  #end(error: WeirError | undefined): void {
    if (this.#state === "closed") return;
    this.#endedBy = error;
    this.#reconnector.close(closedError(error));
    this.#leaveRoom();
    this.#audio.stop();
    this.#setState("closed", error);
    this.#over.abort();
  }
}
