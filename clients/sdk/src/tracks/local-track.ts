import { toBase64 } from "../base64.js";
import { candidates, encodable } from "../codecs/families.js";
import type { Connection } from "../connection/connection.js";
import type { ServerClock } from "../connection/server-clock.js";
import { Emitter } from "../emitter.js";
import type { Encoded, EncoderHost, Encoding, TrackEncoder } from "../encode/encoder.js";
import { openEncoder } from "../encode/open.js";
import { VideoTrackEncoder } from "../encode/video-encoder.js";
import { asWeirError, WeirError } from "../errors.js";
import { LIMITS, type TrackDescription, type TrackKind } from "../protocol.js";
import { Sequencer } from "../transform/sequencer.js";
import type { ChunkInfo, ChunkTransform } from "../transform/transform.js";
import { SendMeter } from "./meters.js";
import type { LocalTrackStats } from "./stats.js";
import { type Capture, TrackSource } from "./track-source.js";

/** Room services that a local track needs. */
export interface LocalTrackHost {
  readonly clock: ServerClock;
  readonly transform: ChunkTransform | undefined;
  /** Returns the current connection; `undefined` while reconnecting. */
  connection(): Connection | undefined;
  /** Returns the codecs that each other member decodes; `undefined` for a member that did not say. */
  decodes(): (readonly string[] | undefined)[];
  updated(track: LocalTrack): void;
  unpublished(track: LocalTrack): void;
  failed(error: WeirError): void;
}

/** Events of a {@link LocalTrack}. */
export type LocalTrackEvents = {
  /**
   * Request for a key chunk, by a receiver that joined late or lost chunks. The SDK's own encoders produce
   * one. For raw chunks, the page should write one next.
   */
  keyrequest: [];
};

/**
 * Track that this client publishes. Returned by the `publish…` methods of a {@link Room}.
 *
 * ```ts
 * const camera = await room.publishCamera({ preset: "720p" });
 * await camera.mute();
 * await camera.unmute();
 * await camera.unpublish();
 * ```
 */
export class LocalTrack extends Emitter<LocalTrackEvents> {
  readonly kind: TrackKind;
  readonly source: string | undefined;
  readonly #host: LocalTrackHost;
  readonly #encoding: Encoding | undefined;
  /** Captured media; `undefined` for raw chunks. */
  readonly #media: TrackSource | undefined;
  readonly #sequencer = new Sequencer();
  readonly #meter = new SendMeter();
  #description: TrackDescription;
  #id: number | undefined;
  #encoder: TrackEncoder | undefined;
  #muted = false;
  #gone = false;
  #lastTs = Number.NEGATIVE_INFINITY;
  /** Last queued change; changes run one at a time. */
  #lastChange: Promise<unknown> = Promise.resolve();

  /** @internal */
  constructor(description: TrackDescription, host: LocalTrackHost, capture?: Capture, encoding?: Encoding) {
    super();
    this.kind = description.kind;
    this.source = description.source;
    this.#description = description;
    this.#host = host;
    this.#encoding = encoding;
    this.#media =
      capture &&
      new TrackSource(capture, {
        replaced: (track) => this.#encoder?.start(track),
        ended: () => {
          if (!this.#gone) this.unpublish().catch(() => {});
        },
      });
  }

  /** Id in the room, which changes after a reconnect; `undefined` while there is no connection. */
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

  /** Current audio level, 0 to 1; 0 for other kinds. */
  get level(): number {
    return this.#muted ? 0 : (this.#encoder?.level ?? 0);
  }

  /** Captured media, for a self view; `undefined` for raw chunks, and while a camera is switched off. */
  get mediaStreamTrack(): MediaStreamTrack | undefined {
    const track = this.#media?.track;
    return track?.readyState === "live" ? track : undefined;
  }

  /** Stops sending and announces it. Switches off a camera that the SDK captured. */
  mute(): Promise<void> {
    return this.#change(async () => {
      if (this.#muted) return;
      this.#muted = true;
      this.#media?.disable(this.kind === "video");
      await this.#announce({ muted: true });
    });
  }

  /** Resumes sending. Rejects like {@link captureCamera} if the camera cannot be captured again. */
  unmute(): Promise<void> {
    return this.#change(async () => {
      if (!this.#muted) return;
      await this.#media?.enable();
      this.#muted = false;
      this.#encoder?.requestKey();
      await this.#announce({ muted: false });
    });
  }

  /** Switches to another camera or microphone. Only for tracks that the SDK captured. */
  setDevice(deviceId: string): Promise<void> {
    return this.#change(async () => {
      if (!this.#media?.owned) {
        throw new WeirError("not_supported", "the SDK did not capture this track; use replace()");
      }
      await this.#media.select(deviceId, !this.#muted || this.kind !== "video");
      this.#host.updated(this);
    });
  }

  /** Replaces the source by another one of the same kind. */
  replace(track: MediaStreamTrack): Promise<void> {
    return this.#change(async () => {
      if (track.kind !== this.kind)
        throw new WeirError("bad_request", `track: ${track.kind} cannot replace ${this.kind}`);
      this.#media?.replace({ track });
      this.#host.updated(this);
    });
  }

  /** Unpublishes the track, and stops the capture if the SDK made it. */
  async unpublish(): Promise<void> {
    if (this.#gone) return;
    const id = this.#id;
    this.stop();
    this.#host.unpublished(this);
    if (id !== undefined) await this.#host.connection()?.request("track:unpublish", { track: id });
  }

  /**
   * Sends a chunk of a track of {@link Room.publishChunks}. Without `ts` the chunk gets the current time.
   * Throws `too_large`, `disconnected` while there is no connection, or `closed` once the track is unpublished.
   */
  write(payload: Uint8Array, header: { ts?: number; key?: boolean; dur?: number } = {}): void {
    if (this.#encoding)
      throw new WeirError("bad_request", "the SDK encodes this track; write() is for raw chunks");
    if (payload.length > LIMITS.chunkBytes) {
      throw new WeirError(
        "too_large",
        `payload: ${payload.length} bytes; the maximum is ${LIMITS.chunkBytes} bytes`,
      );
    }
    if (this.#gone) throw unpublished();
    if (!this.#open) throw new WeirError("disconnected", "no connection to send the chunk over");
    const ts = header.ts ?? Math.round(this.#host.clock.at(performance.now()) * 1_000);
    this.#send(payload, ts, header.key === true, header.dur);
  }

  /** Returns the track's send statistics. */
  stats(): LocalTrackStats {
    return {
      codec: this.codec,
      targetBitrate: this.#encoder?.targetBitrate ?? 0,
      ...this.#meter.stats(),
      skipped: this.#encoder?.skipped ?? 0,
    };
  }

  /** @internal Announces the track over `connection`, and starts to send. */
  async publish(connection: Connection): Promise<void> {
    if (this.#encoding && this.#media && !this.#encoder) await this.#openEncoder(this.#encoding, this.#media);
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

  /** @internal Suspends sending until the track is published over the next connection. */
  suspend(): void {
    this.#id = undefined;
  }

  /** @internal Requests a key chunk from the encoder or the page. */
  requestKey(): void {
    this.#encoder?.requestKey();
    this.emit("keyrequest");
  }

  /** @internal Switches to a codec that all members decode, if the current one is not. */
  async adapt(): Promise<void> {
    const encoder = this.#encoder;
    const size = this.#encoding?.size;
    if (!(encoder instanceof VideoTrackEncoder) || !size || this.#encoding?.codec) return;
    const others = this.#host.decodes();
    if (others.every((each) => each === undefined || each.includes(encoder.family))) return;
    const found = await encodable(candidates(others, navigator.hardwareConcurrency), size);
    if (!found || found.family === encoder.family || this.#gone) return;
    this.#description = { ...this.#description, codec: found.config.codec };
    // Announced first, so that receivers are ready for the first chunk.
    await this.#announce({ codec: found.config.codec });
    encoder.change(found.family);
  }

  /** @internal Stops the track without notifying the node. */
  stop(): void {
    this.#gone = true;
    this.#id = undefined;
    this.#encoder?.stop();
    this.#media?.close();
  }

  /** Whether chunks can be sent. */
  get #open(): boolean {
    return this.#id !== undefined && !this.#gone && this.#host.connection()?.ended === false;
  }

  /** Runs a change once all earlier ones have settled. */
  #change(step: () => Promise<void>): Promise<void> {
    const result = this.#lastChange.then(() => {
      if (this.#gone) throw unpublished();
      return step();
    });
    this.#lastChange = result.catch(() => {});
    return result;
  }

  async #announce(changes: { muted?: boolean; codec?: string }): Promise<void> {
    this.#host.updated(this);
    if (this.#id === undefined) return;
    await this.#host.connection()?.request("track:update", { track: this.#id, ...changes });
  }

  async #openEncoder(encoding: Encoding, { track }: TrackSource): Promise<void> {
    const host: EncoderHost = {
      open: () => this.#open && !this.#muted,
      backlog: () => this.#host.connection()?.backlog ?? 0,
      send: (chunk) => this.#encoded(chunk),
      failed: (error) => {
        this.#host.failed(error);
        this.unpublish().catch((reason) => this.#host.failed(asWeirError(reason)));
      },
    };
    const encoder = await openEncoder(host, encoding, this.#host.decodes());
    if (this.#gone) {
      encoder.stop();
      return;
    }
    this.#encoder = encoder;
    this.#description = { ...this.#description, codec: encoder.codec };
    encoder.start(track);
  }

  #encoded({ atMs, key, durationUs, payload, width, height }: Encoded): void {
    if (!this.#open || this.#muted) return;
    if (width !== undefined && height !== undefined) this.#meter.resized({ width, height });
    // Timestamps of a track increase, even if its sources' clocks do not.
    const ts = Math.max(Math.round(this.#host.clock.at(atMs) * 1_000), this.#lastTs + 1);
    this.#lastTs = ts;
    this.#send(payload, ts, key, durationUs);
  }

  #send(payload: Uint8Array, ts: number, key: boolean, dur: number | undefined): void {
    const { transform } = this.#host;
    const id = this.#id;
    if (id === undefined) return;
    const info: ChunkInfo = { track: id, kind: this.kind, codec: this.codec, ts, key };
    this.#sequencer.run(
      () => transform?.encode(payload, info) ?? payload,
      (encoded) => {
        if (this.#id !== id) return;
        const header = { track: id, ts, ...(key && { key }), ...(dur !== undefined && { dur }) };
        this.#host.connection()?.media(header, encoded);
        this.#meter.sent(encoded.length, key);
      },
      (error) => this.#host.failed(asWeirError(error)),
    );
  }
}

function unpublished(): WeirError {
  return new WeirError("closed", "the track is unpublished; publish another one");
}
