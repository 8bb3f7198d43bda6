import { isUnsupported } from "../../codecs/faults.js";
import type { Surface } from "../picture/surface.js";
import type { Chunk, PicturePlayer, PlayerHost, SoundPlayer } from "../player.js";
import { initSegment, needsInit, startsSegment } from "./segments.js";
import type { WebmWriter } from "./webm-writer.js";

/** Delay behind the newest data above which playback speeds up. */
const HURRY_S = 0.5;
/** Delay below which it returns to normal speed. */
const HURRIED_S = 0.3;
const HURRY_RATE = 1.1;
/** Delay above which playback jumps forward. */
const JUMP_S = 1;
/** Delay after a jump. */
const BEHIND_S = 0.1;
/** Duration of played data that is kept. */
const KEPT_S = 10;
/** Duration that is kept once the browser's buffer is full. */
const KEPT_FULL_S = 1;
/** Maximum bytes queued for the browser. */
const QUEUE_BYTES = 16 * 1_048_576;

/** Input of a {@link MediaSourcePlayer}: chunks to mux, or pieces of a container. */
export type Feed = { writer: WebmWriter } | { type: string; init: Uint8Array | undefined };

/** Whether Media Source Extensions play this input. */
export function mediaSourcePlays(feed: Feed): boolean {
  return typeof MediaSource !== "undefined" && MediaSource.isTypeSupported(feedType(feed));
}

function feedType(feed: Feed): string {
  return "writer" in feed ? feed.writer.type : feed.type;
}

/** Bytes to append next; `resets` makes the parser discard an incomplete piece. */
interface Piece {
  bytes: Uint8Array;
  resets: boolean;
}

/**
 * Player for Media Source Extensions. It plays what WebCodecs cannot decode: there is no WebCodecs, or the
 * chunks are pieces of a container.
 *
 * A MediaSource ends permanently at the first bytes that it cannot parse, such as those after a lost piece.
 * The player then replaces it, starting at the next key or initialisation piece.
 */
export class MediaSourcePlayer implements PicturePlayer, SoundPlayer {
  readonly level = 0;
  readonly node = undefined;
  readonly #feed: Feed;
  readonly #host: PlayerHost;
  readonly #video: boolean;
  readonly #element: HTMLVideoElement;
  readonly #surface: Surface;
  /** Latest initialisation segment of a container. */
  #init: Uint8Array | undefined;
  /** Current MediaSource; `undefined` before the first piece, and after it has ended. */
  #source: MediaSource | undefined;
  #url = "";
  #buffer: SourceBuffer | undefined;
  #queue: Piece[] = [];
  #queued = 0;
  #waitsForKey = true;
  #firstTs: number | undefined;
  #frame = 0;

  constructor(kind: "audio" | "video", feed: Feed, surface: Surface, host: PlayerHost) {
    this.#feed = feed;
    this.#init = "writer" in feed ? undefined : feed.init;
    this.#surface = surface;
    this.#host = host;
    this.#video = kind === "video";
    // A `<video>` plays sound as well, and a container of either kind may have both.
    this.#element = document.createElement("video");
    this.#element.playsInline = true;
    this.#element.addEventListener("error", () => {
      if (this.#element.error) this.#giveUp(this.#source);
    });
    if (this.#video) this.#watch();
    else this.#element.addEventListener("timeupdate", () => this.#shown(this.#element.currentTime, 0, 0));
  }

  get volume(): number {
    return this.#element.volume;
  }

  set volume(volume: number) {
    this.#element.volume = volume;
  }

  get bufferMs(): number {
    return Math.max(0, this.#end - this.#element.currentTime) * 1_000;
  }

  /** Does nothing: the browser decodes whether or not there is an output. */
  begin(): void {}

  mediaStream(): MediaStream | undefined {
    const element = this.#element as HTMLVideoElement & { captureStream?: () => MediaStream };
    return element.captureStream?.();
  }

  push(chunk: Chunk): void {
    const init = "writer" in this.#feed ? undefined : initSegment(chunk.payload);
    if (init) this.#init = init;
    if (this.#waitsForKey && !this.#startsAt(chunk, init !== undefined)) {
      this.#host.dropped(1);
      this.#host.needKey();
      return;
    }
    // After a loss the parser may hold an incomplete piece.
    const resets = this.#waitsForKey && this.#source !== undefined && !("writer" in this.#feed);
    this.#waitsForKey = false;
    if (!this.#source) this.#begin(init !== undefined);
    this.#append(this.#bytes(chunk), resets);
  }

  gap(): void {
    this.#waitsForKey = true;
  }

  /** Resumes playback that the browser blocked. */
  resume(): void {
    this.#play();
  }

  stop(): void {
    this.#drop();
    this.#element.cancelVideoFrameCallback?.(this.#frame);
    this.#element.removeAttribute("src");
    this.#element.load();
  }

  /** Whether playback can start at this chunk. Every muxed audio chunk counts as a key chunk. */
  #startsAt({ key, payload }: Chunk, init: boolean): boolean {
    if ("writer" in this.#feed) return key || !this.#video;
    if (init) return true;
    if (!this.#init && needsInit(this.#feed.type)) return false;
    return key || (!this.#video && startsSegment(this.#feed.type, payload));
  }

  #bytes({ ts, key, payload }: Chunk): Uint8Array {
    if (!("writer" in this.#feed)) return payload;
    this.#firstTs ??= ts;
    return this.#feed.writer.chunk(Math.max(0, (ts - this.#firstTs) / 1_000), key, payload);
  }

  /** Starts a new MediaSource; `hasInit` if the next piece contains the initialisation segment. */
  #begin(hasInit: boolean): void {
    const source = new MediaSource();
    this.#source = source;
    this.#url = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => this.#open(source), { once: true });
    source.addEventListener("sourceended", () => this.#giveUp(source));
    source.addEventListener("sourceclose", () => this.#giveUp(source));
    source.sourceBuffers.addEventListener("removesourcebuffer", () => this.#giveUp(source));
    this.#element.src = this.#url;
    let init = hasInit ? undefined : this.#init;
    if ("writer" in this.#feed) init = this.#feed.writer.header();
    if (init) this.#append(init, false);
  }

  #open(source: MediaSource): void {
    if (this.#source !== source) return;
    try {
      const buffer = source.addSourceBuffer(feedType(this.#feed));
      this.#buffer = buffer;
      buffer.addEventListener("updateend", () => this.#appended(source));
      buffer.addEventListener("error", () => this.#giveUp(source));
    } catch (error) {
      if (isUnsupported(error)) this.#host.unsupported((error as Error).message);
      else this.#giveUp(source);
      return;
    }
    this.#next();
  }

  /** Abandons a MediaSource that no longer accepts data. */
  #giveUp(source: MediaSource | undefined): void {
    if (!source || this.#source !== source) return;
    this.#drop();
    this.#waitsForKey = true;
    this.#host.undecodable(1);
    this.#host.needKey();
  }

  #drop(): void {
    this.#source = undefined;
    this.#buffer = undefined;
    this.#clear();
    URL.revokeObjectURL(this.#url);
  }

  #clear(): void {
    this.#queue = [];
    this.#queued = 0;
  }

  #append(bytes: Uint8Array, resets: boolean): void {
    if (this.#queued + bytes.length > QUEUE_BYTES) {
      // A background page may not get to open its MediaSource for a long time.
      this.#giveUp(this.#source);
      return;
    }
    this.#queue.push({ bytes, resets });
    this.#queued += bytes.length;
    this.#next();
  }

  #next(): void {
    const [source, buffer] = [this.#source, this.#buffer];
    if (!source || !buffer || buffer.updating) return;
    const [piece] = this.#queue;
    if (!piece) return;
    try {
      const { currentTime, buffered } = this.#element;
      if (buffered.length > 0 && currentTime - buffered.start(0) > 2 * KEPT_S) {
        buffer.remove(buffered.start(0), currentTime - KEPT_S);
        return;
      }
      if (piece.resets) buffer.abort();
      buffer.appendBuffer(piece.bytes as BufferSource);
      this.#queue.shift();
      this.#queued -= piece.bytes.length;
    } catch (error) {
      const full = error instanceof Error && error.name === "QuotaExceededError";
      if (!full || !this.#evict(buffer)) this.#giveUp(source);
    }
  }

  /**
   * Evicts played data to free space for the next piece. If nothing plays, evicts all but the newest second.
   */
  #evict(buffer: SourceBuffer): boolean {
    const { buffered, currentTime } = this.#element;
    if (buffered.length === 0) return false;
    const from = buffered.start(0);
    let until = currentTime - KEPT_FULL_S;
    if (until <= from) {
      until = this.#end - KEPT_FULL_S;
      if (until <= from) return false;
      this.#element.currentTime = this.#end - BEHIND_S;
    }
    buffer.remove(from, until);
    return true;
  }

  #appended(source: MediaSource): void {
    if (this.#source !== source) return;
    this.#next();
    const element = this.#element;
    if (element.buffered.length === 0) return;
    if (element.paused) this.#play();
    const behind = this.#end - element.currentTime;
    const newest = element.buffered.start(element.buffered.length - 1);
    if (behind > JUMP_S || element.currentTime < newest) {
      element.currentTime = Math.max(newest, this.#end - BEHIND_S);
    }
    if (behind > HURRY_S) element.playbackRate = HURRY_RATE;
    else if (behind < HURRIED_S) element.playbackRate = 1;
  }

  get #end(): number {
    const { buffered } = this.#element;
    return buffered.length === 0 ? 0 : buffered.end(buffered.length - 1);
  }

  #play(): void {
    this.#element.play().catch((error: unknown) => {
      if (error instanceof Error && error.name === "NotAllowedError") this.#host.blocked();
    });
  }

  #watch(): void {
    const next = (_: number, { mediaTime, width, height }: VideoFrameCallbackMetadata) => {
      this.#surface.draw(this.#element, width, height);
      this.#shown(mediaTime, width, height);
      this.#frame = this.#element.requestVideoFrameCallback(next);
    };
    this.#frame = this.#element.requestVideoFrameCallback(next);
  }

  #shown(mediaTime: number, width: number, height: number): void {
    this.#host.shown((this.#firstTs ?? 0) + mediaTime * 1_000_000, width, height);
  }
}
