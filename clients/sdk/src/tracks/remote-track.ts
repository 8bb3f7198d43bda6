import type { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import { WeirError } from "../errors.js";
import type { Member } from "../members/member.js";
import { MediaSourcePlayer } from "../play/container/media-source.js";
import { openPlayer } from "../play/open.js";
import { Surface } from "../play/picture/surface.js";
import type { MediaChunk, PicturePlayer, PlayerHost, SoundPlayer } from "../play/player.js";
import type { Lane, Timeline } from "../play/timeline.js";
import type { ReceivedHeader, Requests, TrackKind, WireTrack } from "../protocol.js";
import { type ChunkInfo, type ChunkTransform, InOrder } from "../transform/transform.js";
import { KeyBackoff } from "./key-backoff.js";
import { Rate, type RemoteTrackStats } from "./stats.js";

/** Maximum chunks that are kept until the browser reports whether it decodes them. */
const EARLY = 64;
/** A `ts` that is farther from the node's clock was not stamped with it. */
const SAME_CLOCK_MS = 60_000;

/** A chunk as it is told to those who listen. */
export type Chunk = MediaChunk;

export interface Gap {
  /** The first and the last number that is missing. */
  from: number;
  to: number;
  reason: "slow" | "lost";
}

export type RemoteTrackEvents = {
  /** Each chunk, after the transform. */
  chunk: [chunk: Chunk];
  /** Chunks are missing here. */
  gap: [gap: Gap];
  /** The first picture is shown, or the first sound played. */
  firstframe: [];
  /** Chunks make no sense: another key, or damaged. Told at most once a second. */
  undecodable: [];
  /**
   * Error `not_supported`: this browser cannot play the track. Emitted once, and again after a codec change.
   */
  error: [error: WeirError];
};

/** What a track needs of its room. */
export interface RemoteTrackHost {
  request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]>;
  member(id: string): Member;
  timeline(member: string): Timeline;
  readonly clock: ServerClock;
  readonly transform: ChunkTransform | undefined;
  audioBlocked(): void;
}

/** A track that somebody else publishes. */
export class RemoteTrack extends Emitter<RemoteTrackEvents> {
  readonly #host: RemoteTrackHost;
  readonly #order = new InOrder();
  readonly #rate = { bits: new Rate(), shown: new Rate(), chunks: new Rate() };
  readonly #sums = { chunks: 0, bytes: 0, gaps: 0, lost: 0, dropped: 0, starved: 0, undecodable: 0 };
  /** Where its pictures are shown, whatever decodes them. */
  readonly #surface = new Surface();
  #wire: WireTrack;
  #subscribed: boolean;
  #player: (PicturePlayer | SoundPlayer) | undefined;
  #picture: PicturePlayer | undefined;
  #sound: SoundPlayer | undefined;
  #lane: Lane | undefined;
  #volume = 1;
  /** Number of opened players; callbacks of earlier players are ignored. */
  #attempt = 0;
  /** Whether a player is or was open. */
  #opened = false;
  /** Chunks that wait for the browser's answer; `undefined` once it has answered. */
  #early: MediaChunk[] | undefined;
  #error: WeirError | undefined;
  readonly #keys = new KeyBackoff();
  #told = { first: false, undecodableAt: Number.NEGATIVE_INFINITY };
  #size: { width: number; height: number } | undefined;
  #latencyMs: number | undefined;

  /** @internal */
  constructor(wire: WireTrack, host: RemoteTrackHost, subscribed: boolean) {
    super();
    this.#wire = wire;
    this.#host = host;
    this.#subscribed = subscribed;
    if (subscribed) this.#open();
  }

  /** A small integer, unique in the room. */
  get id(): number {
    return this.#wire.id;
  }

  get kind(): TrackKind {
    return this.#wire.kind;
  }

  /** Who publishes it. */
  get member(): Member {
    return this.#host.member(this.#wire.member);
  }

  /** Where it comes from: `camera`, `microphone`, `screen`, `screen-audio`, or what its publisher said. */
  get source(): string | undefined {
    return this.#wire.source;
  }

  get name(): string | undefined {
    return this.#wire.name;
  }

  get codec(): string {
    return this.#wire.codec;
  }

  /** Pixels, as announced. */
  get width(): number | undefined {
    return this.#wire.width;
  }

  get height(): number | undefined {
    return this.#wire.height;
  }

  get muted(): boolean {
    return this.#wire.muted;
  }

  /** Reason why this browser cannot play the track; `undefined` if none is known. */
  get error(): WeirError | undefined {
    return this.#error;
  }

  /** Whether its chunks are received. */
  get subscribed(): boolean {
    return this.#subscribed;
  }

  /** How loud it is now, 0 to 1; 0 for everything but sound. */
  get level(): number {
    return this.#wire.muted ? 0 : (this.#player?.level ?? 0);
  }

  /** How loud it is played, 0 to 1. */
  get volume(): number {
    return this.#volume;
  }

  set volume(volume: number) {
    this.#volume = Math.min(1, Math.max(0, volume));
    if (this.#sound) this.#sound.volume = this.#volume;
  }

  /** Its sound on the way to the speakers, to connect it elsewhere too; `undefined` where there is none. */
  get audioNode(): AudioNode | undefined {
    return this.#sound?.node;
  }

  /** Draws its pictures there, in their own size; style the canvas to scale them. Video only. */
  attach(canvas: HTMLCanvasElement): void {
    this.#expect("video");
    this.#surface.attach(canvas);
    this.#picture?.begin();
  }

  detach(canvas: HTMLCanvasElement): void {
    this.#surface.detach(canvas);
  }

  /** Its pictures as a stream for a `<video>`; or its sound, which plays without one, so mute that. */
  mediaStream(): MediaStream {
    if (this.kind === "video") {
      const stream = this.#surface.mediaStream();
      this.#picture?.begin();
      return stream;
    }
    this.#expect("audio");
    const stream = this.#sound?.mediaStream();
    if (stream) return stream;
    throw new WeirError("not_supported", `track ${this.id} has no sound to stream: "${this.codec}"`);
  }

  async subscribe(): Promise<void> {
    await this.#host.request("track:subscribe", { track: this.id });
    if (this.#subscribed) return;
    this.#subscribed = true;
    if (!this.#player) this.#open();
    else if (this.kind === "video") this.#ask();
  }

  async unsubscribe(): Promise<void> {
    await this.#host.request("track:unsubscribe", { track: this.id });
    this.#subscribed = false;
    this.#break();
  }

  /** Asks its publisher for a key chunk. */
  async requestKeyframe(): Promise<void> {
    this.#keys.take(performance.now());
    await this.#host.request("track:request-keyframe", { track: this.id });
  }

  stats(): RemoteTrackStats {
    const shown = this.kind === "video" ? this.#rate.shown : this.#rate.chunks;
    return {
      codec: this.codec,
      bitrate: Math.round(this.#rate.bits.perSecond()),
      frameRate: shown.perSecond(),
      ...this.#size,
      ...this.#sums,
      ...(this.#latencyMs === undefined ? {} : { latencyMs: this.#latencyMs }),
      jitterMs: this.#lane?.jitterMs ?? 0,
      bufferMs: this.#player?.bufferMs ?? 0,
    };
  }

  /** @internal */
  receive(header: ReceivedHeader, payload: Uint8Array): void {
    if (!this.#subscribed) return;
    this.#sums.chunks += 1;
    this.#sums.bytes += payload.length;
    this.#rate.bits.add(payload.length * 8);
    this.#rate.chunks.add(1);
    const { seq, ts, dur, replay } = header;
    const chunk = {
      seq,
      ts,
      key: header.key === true,
      replay: replay === true,
      ...(dur === undefined ? {} : { dur }),
    };
    const { transform } = this.#host;
    const info: ChunkInfo = { track: this.id, kind: this.kind, codec: this.codec, ts, key: chunk.key };
    this.#order.run(
      () => transform?.decode(payload, info) ?? payload,
      (opened) => this.#play({ ...chunk, payload: opened }),
      () => {
        this.#break();
        this.#undecodable(1);
      },
    );
  }

  /** @internal */
  miss(gap: Gap): void {
    this.#sums.gaps += 1;
    this.#sums.lost += gap.to - gap.from + 1;
    // Behind the chunks that are still being decoded.
    this.#order.run(
      () => new Uint8Array(0),
      () => {
        this.#break();
        this.emit("gap", gap);
      },
      () => {},
    );
  }

  /** @internal */
  update(wire: WireTrack): void {
    const before = this.#wire;
    this.#wire = wire;
    if (before.codec === wire.codec && before.init === wire.init) return;
    if (!this.#opened) return;
    this.#close();
    this.#keys.reset();
    if (this.#subscribed) this.#open();
  }

  /** @internal The connection is another one: what comes next need not follow what came before. */
  resume(subscribed: boolean): void {
    this.#subscribed = subscribed;
    this.#break();
    this.#lane?.reset();
    this.#keys.reset();
    if (subscribed && this.kind === "video") this.#ask();
  }

  /** @internal Plays what the browser did not let sound before a click. */
  unblock(): void {
    if (this.#player instanceof MediaSourcePlayer) this.#player.resume();
  }

  /** @internal */
  stop(): void {
    this.#close();
    this.#surface.stop();
  }

  #play(chunk: MediaChunk): void {
    if (!this.#subscribed) return;
    // A decoder of sound would make noise of it rather than say that it makes no sense.
    if (this.member.transforms && !this.#host.transform) this.#undecodable(1);
    else this.#push(chunk);
    this.emit("chunk", chunk);
  }

  #push(chunk: MediaChunk): void {
    if (!this.#early) {
      this.#player?.push(chunk);
      return;
    }
    this.#early.push(chunk);
    if (this.#early.length > EARLY) this.#early.shift();
  }

  /** Marks a gap: the next chunk does not follow the previous one. */
  #break(): void {
    if (this.#early) this.#early = [];
    this.#player?.gap();
  }

  #open(): void {
    if (this.kind === "data") return;
    this.#opened = true;
    this.#error = undefined;
    const attempt = ++this.#attempt;
    const refuse = (reason: string) => {
      if (this.#attempt === attempt) this.#refuse(reason);
    };
    const host: PlayerHost = {
      needKey: () => this.#ask(),
      unsupported: refuse,
      undecodable: (chunks) => this.#undecodable(chunks),
      shown: (ts, width, height) => this.#shown(ts, width, height),
      dropped: (frames) => {
        this.#sums.dropped += frames;
      },
      starved: (times) => {
        this.#sums.starved += times;
      },
      blocked: () => this.#host.audioBlocked(),
    };
    this.#lane = this.#host.timeline(this.#wire.member).lane(this.kind);
    const opened = openPlayer(this.#wire, this.#surface, this.#lane, host);
    if (!opened) {
      // Deferred, so that listeners added on the track's event receive it.
      queueMicrotask(() => refuse("neither WebCodecs nor Media Source Extensions know it"));
      return;
    }
    const { player, supported } = opened;
    this.#player = player;
    this.#early = [];
    if ("begin" in player) this.#picture = player;
    if ("volume" in player) {
      this.#sound = player;
      player.volume = this.#volume;
    }
    void supported.then((can) => {
      if (!can) refuse("its decoders do not know it");
      else if (this.#attempt === attempt) this.#start(player);
    });
  }

  /** Plays the chunks that arrived while the browser's answer was pending. */
  #start(player: PicturePlayer | SoundPlayer): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const chunk of early) player.push(chunk);
    if (this.kind === "video" && !early.some(({ key }) => key)) this.#ask();
  }

  #refuse(reason: string): void {
    const { codec, sampleRate, channels } = this.#wire;
    const sound = [sampleRate && `${sampleRate} Hz`, channels && `${channels} channels`];
    const what = [`"${codec}"`, ...(this.kind === "audio" ? sound : [])].filter(Boolean).join(", ");
    this.#close();
    this.#error = new WeirError("not_supported", `this browser cannot play ${what}: ${reason}`);
    this.emit("error", this.#error);
  }

  #close(): void {
    this.#attempt += 1;
    this.#player?.stop();
    this.#lane?.stop();
    this.#player = undefined;
    this.#picture = undefined;
    this.#sound = undefined;
    this.#early = undefined;
  }

  #expect(kind: TrackKind): void {
    if (this.kind === kind) return;
    throw new WeirError("not_supported", `track ${this.id} is ${this.kind}, not ${kind}`);
  }

  /** Requests a key chunk, subject to the backoff. A refusal is ignored: a later request follows. */
  #ask(): void {
    if (!this.#player || this.#early || !this.#subscribed || this.kind !== "video") return;
    if (!this.#keys.take(performance.now())) return;
    this.#host.request("track:request-keyframe", { track: this.id }).catch(() => {});
  }

  #undecodable(chunks: number): void {
    this.#sums.undecodable += chunks;
    const now = performance.now();
    if (now - this.#told.undecodableAt < 1_000) return;
    this.#told.undecodableAt = now;
    this.emit("undecodable");
  }

  #shown(ts: number, width: number, height: number): void {
    this.#rate.shown.add(1);
    this.#keys.shown(performance.now());
    if (width > 0) this.#size = { width, height };
    const latency = this.#host.clock.at(performance.now()) - ts / 1_000;
    if (this.kind === "video" && Math.abs(latency) < SAME_CLOCK_MS) this.#latencyMs = Math.max(0, latency);
    if (this.#told.first) return;
    this.#told.first = true;
    this.emit("firstframe");
  }
}
