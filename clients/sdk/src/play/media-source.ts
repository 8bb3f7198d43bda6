import type { MediaChunk, PicturePlayer, PlayerHost, SoundPlayer } from "./player.js";
import type { Surface } from "./surface.js";
import type { WebmWriter } from "./webm-writer.js";

/** So far behind the newest chunk the player begins to hurry, and ends it again; beyond the last it jumps. */
const HURRY_S = 0.5;
const HURRIED_S = 0.3;
const JUMP_S = 1;
const BEHIND_S = 0.1;
const HURRY_RATE = 1.1;
/** What has been played is kept so long. */
const KEPT_S = 10;

/** What a {@link MediaSourcePlayer} is fed with: chunks that are muxed here, or pieces of a container. */
export type Feed = { writer: WebmWriter } | { type: string; init: Uint8Array | undefined };

/** Whether the browser plays this here. */
export function mediaSourcePlays(feed: Feed): boolean {
  const type = "writer" in feed ? feed.writer.type : feed.type;
  return typeof MediaSource !== "undefined" && MediaSource.isTypeSupported(type);
}

/**
 * Plays through Media Source Extensions: what WebCodecs cannot decode, since the browser has none or
 * since the chunks are pieces of a container.
 */
export class MediaSourcePlayer implements PicturePlayer, SoundPlayer {
  readonly level = 0;
  readonly node = undefined;
  readonly #feed: Feed;
  readonly #host: PlayerHost;
  readonly #video: boolean;
  readonly #element: HTMLVideoElement;
  readonly #source = new MediaSource();
  readonly #surface: Surface;
  readonly #url: string;
  #buffer: SourceBuffer | undefined;
  #queue: Uint8Array[] = [];
  #waitsForKey = true;
  #firstTs: number | undefined;
  #frame = 0;

  constructor(kind: "audio" | "video", feed: Feed, surface: Surface, host: PlayerHost) {
    this.#feed = feed;
    this.#surface = surface;
    this.#host = host;
    this.#video = kind === "video";
    // A `<video>` plays sound as well, and a container of either kind may have both.
    this.#element = document.createElement("video");
    this.#element.playsInline = true;
    this.#url = URL.createObjectURL(this.#source);
    this.#source.addEventListener("sourceopen", () => this.#open(), { once: true });
    this.#element.src = this.#url;
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

  /** It decodes from the first key chunk on, whether or not somebody looks. */
  begin(): void {}

  mediaStream(): MediaStream | undefined {
    const element = this.#element as HTMLVideoElement & { captureStream?: () => MediaStream };
    return element.captureStream?.();
  }

  push(chunk: MediaChunk): void {
    if (chunk.key) this.#waitsForKey = false;
    if (this.#waitsForKey) {
      this.#host.dropped(1);
      this.#host.needKey();
      return;
    }
    if ("writer" in this.#feed) {
      this.#firstTs ??= chunk.ts;
      const timeMs = Math.max(0, (chunk.ts - this.#firstTs) / 1_000);
      this.#append(this.#feed.writer.chunk(timeMs, chunk.key, chunk.payload));
    } else {
      this.#append(chunk.payload);
    }
  }

  gap(): void {
    this.#waitsForKey = true;
  }

  /** Plays what the browser did not let sound before a click. */
  resume(): void {
    this.#play();
  }

  stop(): void {
    this.#element.cancelVideoFrameCallback?.(this.#frame);
    this.#element.removeAttribute("src");
    this.#element.load();
    URL.revokeObjectURL(this.#url);
    this.#queue = [];
  }

  #open(): void {
    const type = "writer" in this.#feed ? this.#feed.writer.type : this.#feed.type;
    const buffer = this.#source.addSourceBuffer(type);
    this.#buffer = buffer;
    buffer.addEventListener("updateend", () => this.#appended());
    buffer.addEventListener("error", () => this.#host.undecodable(1));
    const init = "writer" in this.#feed ? this.#feed.writer.header() : this.#feed.init;
    if (init) this.#queue.unshift(init);
    this.#next();
  }

  #append(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    this.#next();
  }

  #next(): void {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.#source.readyState !== "open") return;
    const { currentTime, buffered } = this.#element;
    if (buffered.length > 0 && currentTime - buffered.start(0) > 2 * KEPT_S) {
      buffer.remove(buffered.start(0), currentTime - KEPT_S);
      return;
    }
    const bytes = this.#queue.shift();
    if (!bytes) return;
    try {
      buffer.appendBuffer(bytes as BufferSource);
    } catch {
      this.#host.undecodable(1);
    }
  }

  #appended(): void {
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
