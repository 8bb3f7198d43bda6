import { toBase64 } from "../base64.js";
import type { VideoCodec, VideoSize } from "../capture/presets.js";
import { candidates, encodable } from "../codecs/families.js";
import type { Connection } from "../connection/connection.js";
import type { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import { AudioTrackEncoder } from "../encode/audio-encoder.js";
import type { Encoded, EncoderHost, TrackEncoder } from "../encode/encoder.js";
import { recorderType, TrackRecorder } from "../encode/recorder.js";
import { VideoTrackEncoder } from "../encode/video-encoder.js";
import { asWeirError, WeirError } from "../errors.js";
import { LIMITS, type TrackDescription, type TrackKind, type WireTrack } from "../protocol.js";
import { type ChunkInfo, type ChunkTransform, InOrder } from "../transform/transform.js";
import { type LocalTrackStats, Rate } from "./stats.js";

/** What a track needs of its room. */
export interface LocalTrackHost {
  readonly connection: Connection | undefined;
  readonly clock: ServerClock;
  readonly transform: ChunkTransform | undefined;
  /** What each of the others decodes, as far as they said. */
  decodes(): (readonly string[] | undefined)[];
  updated(track: LocalTrack): void;
  unpublished(track: LocalTrack): void;
  failed(error: WeirError): void;
}

/** How its source can be had again. */
export type Recapture = (deviceId: string | undefined) => Promise<MediaStreamTrack>;

/** What is captured for a track. */
export interface Capture {
  track: MediaStreamTrack;
  /** Only of those that the SDK itself captured; it also stops them. */
  again?: Recapture;
}

export interface Encoding {
  bitrate: number;
  /** Of video. */
  size?: VideoSize;
  /** Only this one. */
  codec?: VideoCodec;
}

export type LocalTrackEvents = {
  /**
   * Request for a key chunk, by a receiver that joined or lost chunks. The SDK's own encoders produce one;
   * raw chunks come from the page, so its next chunk should be one.
   */
  keyrequest: [];
};

/** A track that this member publishes. */
export class LocalTrack extends Emitter<LocalTrackEvents> {
  readonly kind: TrackKind;
  readonly source: string | undefined;
  readonly #host: LocalTrackHost;
  readonly #encoding: Encoding | undefined;
  readonly #order = new InOrder();
  readonly #rate = { bits: new Rate(), chunks: new Rate() };
  readonly #sums = { chunks: 0, bytes: 0, keyframes: 0 };
  #description: TrackDescription;
  #id: number | undefined;
  #capture: Capture | undefined;
  #deviceId: string | undefined;
  #encoder: TrackEncoder | undefined;
  #muted = false;
  #gone = false;
  #size: { width: number; height: number } | undefined;
  #lastTs = Number.NEGATIVE_INFINITY;
  #busy: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(description: TrackDescription, host: LocalTrackHost, capture?: Capture, encoding?: Encoding) {
    super();
    this.kind = description.kind;
    this.source = description.source;
    this.#description = description;
    this.#host = host;
    this.#capture = capture;
    this.#encoding = encoding;
    this.#watch();
  }

  /** The id in the room: another one after a reconnection; `undefined` while there is no connection. */
  get id(): number | undefined {
    return this.#id;
  }

  get name(): string | undefined {
    return this.#description.name;
  }

  get codec(): string {
    return this.#description.codec;
  }

  get muted(): boolean {
    return this.#muted;
  }

  /** How loud it is now, 0 to 1; 0 for everything but sound. */
  get level(): number {
    return this.#muted ? 0 : (this.#encoder?.level ?? 0);
  }

  /** What is captured, for a view of oneself; `undefined` for raw chunks, and while a camera is off. */
  get mediaStreamTrack(): MediaStreamTrack | undefined {
    return this.#capture?.track.readyState === "live" ? this.#capture.track : undefined;
  }

  /** Sends nothing from now on, and tells the others. A camera that the SDK captured is switched off. */
  mute(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#muted) return;
      this.#muted = true;
      if (this.#capture) {
        this.#capture.track.enabled = false;
        if (this.#capture.again && this.kind === "video") this.#release();
      }
      await this.#announce({ muted: true });
    });
  }

  /** The reverse of {@link mute}; rejects as capturing does, where the camera cannot be had again. */
  unmute(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#muted) return;
      if (this.#capture?.again && this.#capture.track.readyState === "ended") {
        await this.#recapture(this.#deviceId);
      }
      if (this.#capture) this.#capture.track.enabled = true;
      this.#muted = false;
      this.#encoder?.requestKey();
      await this.#announce({ muted: false });
    });
  }

  /** Goes on with another camera or microphone; only tracks that the SDK captured. */
  setDevice(deviceId: string): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#capture?.again) {
        throw new WeirError("not_supported", "the track was not captured by the SDK: use replace()");
      }
      this.#deviceId = deviceId;
      if (!this.#muted || this.kind !== "video") await this.#recapture(deviceId);
      this.#host.updated(this);
    });
  }

  /** Goes on with another source of the same kind. */
  replace(track: MediaStreamTrack): Promise<void> {
    return this.#inTurn(async () => {
      if (track.kind !== this.kind)
        throw new WeirError("bad_request", `track: ${track.kind} cannot replace ${this.kind}`);
      this.#use({ track });
      this.#host.updated(this);
    });
  }

  /** Takes it back, and stops what the SDK captured for it. */
  async unpublish(): Promise<void> {
    if (this.#gone) return;
    const id = this.#id;
    this.stop();
    this.#host.unpublished(this);
    if (id !== undefined) await this.#host.connection?.request("track:unpublish", { track: id });
  }

  /**
   * Sends a chunk of a track of {@link Room.publishChunks}. Without `ts` it gets the current time. Throws
   * `too_large`, `disconnected` while there is no connection, or `closed` once the track is unpublished.
   */
  write(payload: Uint8Array, header: { ts?: number; key?: boolean; dur?: number } = {}): void {
    if (this.#encoding)
      throw new WeirError("bad_request", "this track is encoded by the SDK: nothing can be written");
    if (payload.length > LIMITS.chunkBytes) {
      throw new WeirError(
        "too_large",
        `payload: ${payload.length} bytes, and at most ${LIMITS.chunkBytes} are taken`,
      );
    }
    if (this.#gone) throw unpublished();
    if (!this.#open) throw new WeirError("disconnected", "there is no connection to send the chunk over");
    const ts = header.ts ?? Math.round(this.#host.clock.at(performance.now()) * 1_000);
    this.#send(payload, ts, header.key === true, header.dur);
  }

  stats(): LocalTrackStats {
    return {
      codec: this.codec,
      bitrate: Math.round(this.#rate.bits.perSecond()),
      targetBitrate: this.#encoder?.targetBitrate ?? 0,
      frameRate: this.#rate.chunks.perSecond(),
      ...this.#size,
      ...this.#sums,
      skipped: this.#encoder?.skipped ?? 0,
    };
  }

  /** @internal Announces it over the present connection, and begins to send. */
  async publish(connection: Connection): Promise<void> {
    if (this.#encoding && this.#capture && !this.#encoder)
      await this.#openEncoder(this.#encoding, this.#capture.track);
    const { init, ...description } = this.#description;
    const { track } = await connection.request("track:publish", {
      ...description,
      ...(init && { init: toBase64(init) }),
    });
    if (this.#gone) {
      await connection.request("track:unpublish", { track: track.id });
      return;
    }
    this.#id = track.id;
    // No receiver has a key chunk under this id yet.
    this.requestKey();
    if (this.#muted) await connection.request("track:update", { track: track.id, muted: true });
  }

  /** @internal There is no connection: nothing is sent until it is published again. */
  suspend(): void {
    this.#id = undefined;
  }

  /** @internal Somebody needs a key chunk. */
  requestKey(): void {
    this.#encoder?.requestKey();
    this.emit("keyrequest");
  }

  /** @internal The others have changed: goes on with a codec that all of them decode, if it has to. */
  async suit(): Promise<void> {
    const encoder = this.#encoder;
    const size = this.#encoding?.size;
    if (!(encoder instanceof VideoTrackEncoder) || !size || this.#encoding?.codec) return;
    const others = this.#host.decodes();
    if (others.every((each) => each === undefined || each.includes(encoder.family))) return;
    const found = await encodable(candidates(others, navigator.hardwareConcurrency), size);
    if (!found || found.family === encoder.family || this.#gone) return;
    this.#description = { ...this.#description, codec: found.config.codec };
    // Those that are told first are ready for the first chunk of it.
    await this.#announce({ codec: found.config.codec });
    encoder.change(found.family);
  }

  /** @internal */
  describes(wire: WireTrack): boolean {
    return wire.id === this.#id;
  }

  /** @internal Without a word to the node. */
  stop(): void {
    this.#gone = true;
    this.#id = undefined;
    this.#encoder?.stop();
    this.#release();
  }

  get #open(): boolean {
    return this.#id !== undefined && !this.#gone && this.#host.connection?.ended === false;
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const result = this.#busy.then(() => {
      if (this.#gone) throw unpublished();
      return step();
    });
    this.#busy = result.catch(() => {});
    return result;
  }

  async #announce(changes: { muted?: boolean; codec?: string }): Promise<void> {
    this.#host.updated(this);
    if (this.#id === undefined) return;
    await this.#host.connection?.request("track:update", { track: this.#id, ...changes });
  }

  async #recapture(deviceId: string | undefined): Promise<void> {
    const again = this.#capture?.again;
    if (!again) return;
    // Many cameras can be opened once only.
    this.#release();
    this.#use({ track: await again(deviceId), again });
  }

  #use(capture: Capture): void {
    if (this.#gone) {
      if (capture.again) capture.track.stop();
      return;
    }
    if (this.#capture?.track !== capture.track) this.#release();
    this.#capture = capture;
    capture.track.enabled = !this.#muted;
    this.#watch();
    this.#encoder?.start(capture.track);
  }

  /** Stops what the SDK captured; what it was given belongs to whoever gave it. */
  #release(): void {
    if (this.#capture?.again) this.#capture.track.stop();
  }

  /** A source that ends by itself, such as a screen that is not shared any more, ends the track. */
  #watch(): void {
    const track = this.#capture?.track;
    track?.addEventListener("ended", () => {
      if (this.#capture?.track === track && !this.#gone) this.unpublish().catch(() => {});
    });
  }

  async #openEncoder({ bitrate, size, codec }: Encoding, track: MediaStreamTrack): Promise<void> {
    const host: EncoderHost = {
      open: () => this.#open && !this.#muted,
      backlog: () => this.#host.connection?.backlog ?? 0,
      send: (chunk) => this.#encoded(chunk),
      failed: (error) => {
        this.#host.failed(error);
        this.unpublish().catch((reason) => this.#host.failed(asWeirError(reason)));
      },
    };
    const encoder = await this.#encoderFor(host, bitrate, size, codec);
    if (this.#gone) {
      encoder.stop();
      return;
    }
    this.#encoder = encoder;
    this.#description = { ...this.#description, codec: encoder.codec };
    encoder.start(track);
  }

  async #encoderFor(
    host: EncoderHost,
    bitrate: number,
    size: VideoSize | undefined,
    codec: VideoCodec | undefined,
  ): Promise<TrackEncoder> {
    if (size && typeof VideoEncoder !== "undefined") {
      const order = codec ? [codec] : candidates(this.#host.decodes(), navigator.hardwareConcurrency);
      const found = await encodable(order, size);
      if (found) return new VideoTrackEncoder(host, found.family, size);
    } else if (!size && typeof AudioEncoder !== "undefined") {
      return new AudioTrackEncoder(host, bitrate);
    }
    const made = recorderType(size ? "video" : "audio");
    if (made) return new TrackRecorder(host, made, bitrate, size);
    const what = size ? `video of ${size.width}×${size.height}${codec ? ` as ${codec}` : ""}` : "sound";
    throw new WeirError("not_supported", `this browser cannot encode ${what}`);
  }

  #encoded({ atMs, key, durationUs, payload, width, height }: Encoded): void {
    if (!this.#open || this.#muted) return;
    if (width !== undefined && height !== undefined) this.#size = { width, height };
    // Chunks of one track never go back in time, whatever its sources' clocks do.
    const ts = Math.max(Math.round(this.#host.clock.at(atMs) * 1_000), this.#lastTs + 1);
    this.#lastTs = ts;
    this.#send(payload, ts, key, durationUs);
  }

  #send(payload: Uint8Array, ts: number, key: boolean, dur: number | undefined): void {
    const { transform } = this.#host;
    const id = this.#id;
    if (id === undefined) return;
    const info: ChunkInfo = { track: id, kind: this.kind, codec: this.codec, ts, key };
    this.#order.run(
      () => transform?.encode(payload, info) ?? payload,
      (sealed) => {
        if (this.#id !== id) return;
        const header = { track: id, ts, ...(key ? { key } : {}), ...(dur === undefined ? {} : { dur }) };
        this.#host.connection?.media(header as { track: number; ts: number }, sealed);
        this.#sums.chunks += 1;
        this.#sums.bytes += sealed.length;
        if (key) this.#sums.keyframes += 1;
        this.#rate.bits.add(sealed.length * 8);
        this.#rate.chunks.add(1);
      },
      (error) => this.#host.failed(asWeirError(error)),
    );
  }
}

function unpublished(): WeirError {
  return new WeirError("closed", "the track is not published any more; publish another one");
}
