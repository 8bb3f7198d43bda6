import type { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import { WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import type { Chunk } from "../play/player.js";
import type { Timeline } from "../play/timeline.js";
import type { ReceivedHeader, Requests, TrackKind, WireTrack } from "../protocol.js";
import { Sequencer } from "../transform/sequencer.js";
import type { ChunkInfo, ChunkTransform } from "../transform/transform.js";
import { KeyBackoff } from "./key-backoff.js";
import { ReceiveMeter } from "./meters.js";
import { Playback } from "./playback.js";
import type { RemoteTrackStats } from "./stats.js";

/** Maximum difference between the node's clock and a `ts` that was taken from it. */
const SAME_CLOCK_MS = 60_000;
/** Minimum interval of `undecodable` events. */
const UNDECODABLE_MS = 1_000;

/** Missing chunks of a track. */
export interface Gap {
  /** First missing `seq`. */
  from: number;
  /** Last missing `seq`. */
  to: number;
  /** `slow`: this member's network is too slow. `lost`: the chunks were lost between nodes. */
  reason: "slow" | "lost";
}

/** Events of a {@link RemoteTrack}. */
export type RemoteTrackEvents = {
  /** A chunk arrived. Emitted after the transform. */
  chunk: [chunk: Chunk];
  /** Chunks are missing before the next one. */
  gap: [gap: Gap];
  /** The first frame is shown, or the first sound played. */
  firstframe: [];
  /** Chunks cannot be decoded: damaged, or encrypted with another key. Emitted at most once a second. */
  undecodable: [];
  /** `not_supported`: this browser cannot play the track. Emitted once for each codec of the track. */
  error: [error: WeirError];
};

/** Room services that a remote track needs. */
export interface RemoteTrackHost {
  readonly clock: ServerClock;
  readonly transform: ChunkTransform | undefined;
  request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]>;
  member(id: string): Member;
  /** Returns the timeline that all tracks of a member share. */
  timeline(member: string): Timeline;
  /** Reports that the browser blocks audio. */
  audioBlocked(): void;
}

/**
 * Track of another member. Listed in {@link Room.tracks}, and passed to `track:published`.
 *
 * ```ts
 * room.on("track:published", (track) => {
 *   if (track.kind !== "video") return; // audio plays by itself
 *   track.attach(document.querySelector("canvas"));
 *   track.on("firstframe", () => console.log(`${track.member.name} is visible`));
 * });
 * ```
 */
export class RemoteTrack extends Emitter<RemoteTrackEvents> {
  readonly #host: RemoteTrackHost;
  readonly #sequencer = new Sequencer();
  readonly #meter = new ReceiveMeter();
  readonly #playback: Playback;
  readonly #keys = new KeyBackoff();
  #wire: WireTrack;
  #subscribed: boolean;
  #presented = false;
  #undecodableAt = Number.NEGATIVE_INFINITY;

  /** @internal */
  constructor(wire: WireTrack, host: RemoteTrackHost, subscribed: boolean) {
    super();
    this.#wire = wire;
    this.#host = host;
    this.#subscribed = subscribed;
    this.#playback = new Playback({
      needKey: () => this.#requestKey(),
      undecodable: (chunks) => this.#undecodable(chunks),
      shown: (ts, width, height) => this.#shown(ts, width, height),
      dropped: (frames) => this.#meter.count("dropped", frames),
      starved: (times) => this.#meter.count("starved", times),
      blocked: () => this.#host.audioBlocked(),
      unplayable: (error) => this.emit("error", error),
    });
    if (subscribed) this.#play();
  }

  /** Id of the track, unique in the room. */
  get id(): number {
    return this.#wire.id;
  }

  get kind(): TrackKind {
    return this.#wire.kind;
  }

  /** Publisher of the track. */
  get member(): Member {
    return this.#host.member(this.#wire.member);
  }

  /** Source: `camera`, `microphone`, `screen`, `screen-audio`, or the publisher's own term. */
  get source(): string | undefined {
    return this.#wire.source;
  }

  get name(): string | undefined {
    return this.#wire.name;
  }

  get codec(): string {
    return this.#wire.codec;
  }

  /** Announced width, in pixels. */
  get width(): number | undefined {
    return this.#wire.width;
  }

  /** Announced height, in pixels. */
  get height(): number | undefined {
    return this.#wire.height;
  }

  get muted(): boolean {
    return this.#wire.muted;
  }

  /** Reason why this browser cannot play the track; `undefined` if none is known. */
  get error(): WeirError | undefined {
    return this.#playback.error;
  }

  /** Whether this client receives the track. */
  get subscribed(): boolean {
    return this.#subscribed;
  }

  /** Current audio level, 0 to 1; 0 for other kinds. */
  get level(): number {
    return this.#wire.muted ? 0 : this.#playback.level;
  }

  /** Playback volume, 0 to 1. */
  get volume(): number {
    return this.#playback.volume;
  }

  set volume(volume: number) {
    this.#playback.volume = volume;
  }

  /** Node whose output goes to the speakers, to connect it elsewhere too; `undefined` without audio. */
  get audioNode(): AudioNode | undefined {
    return this.#playback.audioNode;
  }

  /** Draws video on `canvas`, at the video's own size. Scale it with CSS. */
  attach(canvas: HTMLCanvasElement): void {
    this.#expect("video");
    this.#playback.attach(canvas);
  }

  /** Stops drawing on `canvas`. */
  detach(canvas: HTMLCanvasElement): void {
    this.#playback.detach(canvas);
  }

  /** Returns the track as a stream for a `<video>` or `<audio>`. Audio plays anyway, so mute that element. */
  mediaStream(): MediaStream {
    if (this.kind === "video") return this.#playback.videoStream();
    this.#expect("audio");
    const stream = this.#playback.audioStream();
    if (stream) return stream;
    throw new WeirError("not_supported", `track ${this.id} plays no audio to stream: "${this.codec}"`);
  }

  /** Subscribes to the track. Needed only after `autoSubscribe: false` or {@link unsubscribe}. */
  async subscribe(): Promise<void> {
    await this.#host.request("track:subscribe", { track: this.id });
    if (this.#subscribed) return;
    this.#subscribed = true;
    if (!this.#playback.open) this.#play();
    else this.#requestKey();
  }

  /** Unsubscribes from the track, to save bandwidth. */
  async unsubscribe(): Promise<void> {
    await this.#host.request("track:unsubscribe", { track: this.id });
    this.#subscribed = false;
    this.#playback.gap();
  }

  /** Requests a key chunk from the publisher. The SDK requests those that it needs itself. */
  async requestKeyframe(): Promise<void> {
    this.#keys.admits(performance.now());
    await this.#host.request("track:request-keyframe", { track: this.id });
  }

  /** Returns the track's receive statistics. */
  stats(): RemoteTrackStats {
    const { jitterMs, bufferMs } = this.#playback;
    return { codec: this.codec, ...this.#meter.stats(this.kind), jitterMs, bufferMs };
  }

  /** @internal Decodes and plays a chunk. */
  receive(header: ReceivedHeader, payload: Uint8Array): void {
    if (!this.#subscribed) return;
    this.#meter.received(payload.length);
    const { seq, ts, dur, replay } = header;
    const key = header.key === true;
    const chunk = { seq, ts, key, replay: replay === true, ...(dur === undefined ? {} : { dur }) };
    const { transform } = this.#host;
    const info: ChunkInfo = { track: this.id, kind: this.kind, codec: this.codec, ts, key };
    this.#sequencer.run(
      () => transform?.decode(payload, info) ?? payload,
      (decoded) => this.#deliver({ ...chunk, payload: decoded }),
      () => {
        this.#playback.gap();
        this.#undecodable(1);
      },
    );
  }

  /** @internal Records missing chunks. */
  miss(gap: Gap): void {
    this.#meter.gap(gap.to - gap.from + 1);
    // Queued behind the chunks that are still being decoded.
    this.#sequencer.run(
      () => new Uint8Array(0),
      () => {
        this.#playback.gap();
        this.emit("gap", gap);
      },
      () => {},
    );
  }

  /** @internal Applies a new announcement. A codec change opens another player. */
  update(wire: WireTrack): void {
    const before = this.#wire;
    this.#wire = wire;
    if (before.codec === wire.codec && before.init === wire.init) return;
    if (!this.#playback.opened) return;
    this.#playback.close();
    this.#keys.reset();
    if (this.#subscribed) this.#play();
  }

  /** @internal Resumes over another connection, whose chunks need not follow the earlier ones. */
  resume(subscribed: boolean): void {
    this.#subscribed = subscribed;
    this.#playback.gap();
    this.#playback.resetDelays();
    this.#keys.reset();
    if (subscribed) this.#requestKey();
  }

  /** @internal Resumes audio that the browser blocked. */
  unblock(): void {
    this.#playback.unblock();
  }

  /** @internal Stops playback permanently. */
  stop(): void {
    this.#playback.stop();
  }

  #play(): void {
    if (this.kind === "data") return;
    const lane = this.#host.timeline(this.#wire.member).lane(this.kind);
    this.#playback.start(this.#wire, lane);
  }

  #deliver(chunk: Chunk): void {
    if (!this.#subscribed) return;
    // An audio decoder would turn transformed chunks into noise instead of failing.
    if (this.member.transforms && !this.#host.transform) this.#undecodable(1);
    else this.#playback.push(chunk);
    this.emit("chunk", chunk);
  }

  #expect(kind: TrackKind): void {
    if (this.kind === kind) return;
    throw new WeirError("not_supported", `track ${this.id} is ${this.kind}, not ${kind}`);
  }

  /** Requests a key chunk of video, subject to the backoff. Ignores a refusal: a later request follows. */
  #requestKey(): void {
    if (!this.#playback.ready || !this.#subscribed || this.kind !== "video") return;
    if (!this.#keys.admits(performance.now())) return;
    this.#host.request("track:request-keyframe", { track: this.id }).catch(() => {});
  }

  #undecodable(chunks: number): void {
    this.#meter.count("undecodable", chunks);
    const now = performance.now();
    if (now - this.#undecodableAt < UNDECODABLE_MS) return;
    this.#undecodableAt = now;
    this.emit("undecodable");
  }

  #shown(ts: number, width: number, height: number): void {
    const now = performance.now();
    this.#meter.shown(width, height);
    this.#keys.shown(now);
    const latency = this.#host.clock.at(now) - ts / 1_000;
    if (this.kind === "video" && Math.abs(latency) < SAME_CLOCK_MS) this.#meter.latency(Math.max(0, latency));
    if (this.#presented) return;
    this.#presented = true;
    this.emit("firstframe");
  }
}
