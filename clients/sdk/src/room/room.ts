import type { AudioOptions, MicrophoneOptions, VideoOptions } from "../capture/presets.js";
import type { Connection } from "../connection/connection.js";
import type { Reconnector } from "../connection/reconnector.js";
import { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import { asWeirError, closedError, refusal, WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import { loudness, Speakers } from "../members/speakers.js";
import type { Json, JsonObject, Requests, RoomInfo, TrackDescription } from "../protocol.js";
import type { LocalTrack } from "../tracks/local-track.js";
import { Publications } from "../tracks/publications.js";
import type { RemoteTrack } from "../tracks/remote-track.js";
import type { ChunkTransform } from "../transform/transform.js";
import { AudioOutput } from "./audio-output.js";
import { ErrorThrottle } from "./error-throttle.js";
import type { ConnectionState, JoinOptions, MessageOptions, RoomEvents } from "./events.js";
import { memberMetadata } from "./membership.js";
import { REJOIN_MS, rejoin } from "./rejoin.js";
import { type Notice, RoomSync } from "./room-sync.js";

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
  readonly #sync: RoomSync;
  readonly #errors = new ErrorThrottle();
  /** Aborted when the room is closed. */
  readonly #over = new AbortController();
  #state: ConnectionState = "connected";
  /** Pending {@link join}. */
  #joining: Promise<void> | undefined;
  #leaving = false;
  /** Error that closed the room. */
  #endedBy: WeirError | undefined;
  #speakerPoll: ReturnType<typeof setInterval> | undefined;

  /** @internal Use {@link connect}. */
  constructor(reconnector: Reconnector, connection: Connection, transform: ChunkTransform | undefined) {
    super();
    this.#reconnector = reconnector;
    this.#transform = transform;
    this.#publications = this.#newPublications();
    this.#sync = this.#newSync();
    this.#sync.listen(connection);
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
    return this.#sync.membership?.view.room;
  }

  /** This client's own member; `undefined` outside a room. */
  get self(): Member | undefined {
    return this.#sync.self;
  }

  /** All members of the room by id, including this client's own. */
  get members(): ReadonlyMap<string, Member> {
    return this.#sync.roster.members;
  }

  /** Tracks of the other members by id. */
  get tracks(): ReadonlyMap<number, RemoteTrack> {
    return this.#sync.roster.tracks;
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
    const joining = this.#sync.join(this.#connection(), room, options);
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
    if (this.#state === "reconnecting" && this.#sync.membership) return this.#end(undefined);
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
    const { membership } = this.#sync;
    const whole = metadata && {
      metadata: await memberMetadata(metadata, this.#transform !== undefined, membership?.secret),
    };
    await this.#request("member:update", { ...rest, ...whole });
    // A rejoin uses the new values.
    this.#sync.remember(changes);
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
    for (const track of this.#sync.roster.tracks.values()) track.unblock();
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
        [...this.#sync.roster.members.values()].filter(({ isSelf }) => !isSelf).map((each) => each.decodes),
      updated: (track) => this.emit("local:updated", track),
      published: (track) => this.emit("local:published", track),
      unpublished: (track) => {
        if (this.#publications.tracks.delete(track)) this.emit("local:unpublished", track);
      },
      failed: (error) => this.#report(error),
    });
  }

  #newSync(): RoomSync {
    return new RoomSync({
      clock: this.#clock,
      transform: this.#transform,
      connection: () => this.#reconnector.connection,
      closed: () => (this.#state === "closed" ? closedError(this.#endedBy) : undefined),
      request: (event, argument) => this.#request(event, argument),
      emit: (event, ...args) => this.emit(event, ...args),
      notice: (notice) => this.#notice(notice),
      entered: () => {
        this.#speakerPoll ??= setInterval(() => this.#detectSpeakers(), SPEAKERS_MS);
      },
      memberChanged: () => this.#publications.adapt(),
      audioBlocked: () => this.#audio.suppressed(),
    });
  }

  /** Returns the connection that requests go through. Throws `closed`, or `disconnected` during a reconnect. */
  #connection(): Connection {
    if (this.#state === "closed") throw closedError(this.#endedBy);
    const { connection } = this.#reconnector;
    if (connection && (this.#state !== "reconnecting" || connection === this.#sync.home)) return connection;
    throw new WeirError("disconnected", "no connection; the SDK is reconnecting");
  }

  async #request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]> {
    return this.#connection().request(event, argument);
  }

  #notice(notice: Notice): void {
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
        this.emit("message", { from: this.#sync.roster.member(from), ...rest });
        return;
      }
      case "media:gap": {
        const { track, ...gap } = notice.argument;
        this.#sync.roster.tracks.get(track)?.miss(gap);
        return;
      }
      case "node:draining":
        this.#reconnector.replace(notice.argument.reconnectInMs);
        return;
      case "error":
        this.#report(refusal(notice.argument.error));
        return;
      default:
        this.#sync.update(notice.event, notice.argument);
    }
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
    this.#sync.listen(connection);
    const { membership } = this.#sync;
    if (!membership) {
      this.#setState("connected");
      return;
    }
    try {
      await rejoin(() => this.#sync.join(connection, membership.room, membership.options));
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
    const others = [...this.#sync.roster.tracks.values()].map((track) => ({ track, member: track.member }));
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
    this.#sync.leave();
    this.#publications.clear();
    this.#sync.roster.clear();
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
