import { isReclaimed, isUnsupported } from "../../codecs/faults.js";
import type { Chunk, PicturePlayer, PlayerHost } from "../player.js";
import type { Lane } from "../timeline.js";
import { Presenter } from "./presenter.js";
import type { Surface } from "./surface.js";

/** Maximum chunks in the decoder. With more it does not keep up, and resumes at a key chunk. */
const MAX_QUEUE = 20;
/** Maximum chunks that are kept while there is no output, so that video starts at once. */
const MAX_KEPT = 300;

/** Video player that decodes with WebCodecs. It decodes only while there is an output. */
export class VideoPlayer implements PicturePlayer {
  readonly level = 0;
  readonly #config: VideoDecoderConfig;
  readonly #lane: Lane;
  readonly #host: PlayerHost;
  readonly #surface: Surface;
  readonly #presenter: Presenter;
  #decoder: VideoDecoder | undefined;
  #waitsForKey = true;
  #kept: Chunk[] = [];
  /** Timestamp of the newest chunk that was cached or kept, whose delay is not measured. */
  #oldUntil = Number.NEGATIVE_INFINITY;

  constructor(config: VideoDecoderConfig, surface: Surface, lane: Lane, host: PlayerHost) {
    this.#config = { ...config, optimizeForLatency: true };
    this.#surface = surface;
    this.#lane = lane;
    this.#host = host;
    this.#presenter = new Presenter(surface, lane, host);
  }

  get bufferMs(): number {
    return this.#presenter.bufferMs;
  }

  begin(): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const chunk of kept) this.push({ ...chunk, replay: true });
    if (this.#waitsForKey) this.#host.needKey();
  }

  push(chunk: Chunk): void {
    if (this.#surface.empty) {
      this.#keep(chunk);
      return;
    }
    if (chunk.key) this.#waitsForKey = false;
    if (chunk.replay) this.#oldUntil = chunk.ts;
    if (this.#waitsForKey) {
      this.#host.dropped(1);
      this.#host.needKey();
      return;
    }
    try {
      const decoder = this.#decoding();
      if (decoder.decodeQueueSize > MAX_QUEUE && !chunk.key) {
        this.#waitsForKey = true;
        this.#host.dropped(1);
        this.#host.needKey();
        return;
      }
      decoder.decode(
        new EncodedVideoChunk({
          type: chunk.key ? "key" : "delta",
          timestamp: chunk.ts,
          data: chunk.payload as AllowSharedBufferSource,
        }),
      );
    } catch (error) {
      // Older browsers throw for an unknown codec instead of reporting an error.
      this.#fail(error);
    }
  }

  gap(): void {
    this.#waitsForKey = true;
    this.#kept = [];
  }

  stop(): void {
    this.#presenter.clear();
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = undefined;
  }

  #keep(chunk: Chunk): void {
    if (chunk.key) this.#kept = [chunk];
    else if (this.#kept.length > 0) this.#kept.push(chunk);
    if (this.#kept.length > MAX_KEPT) this.#kept = [];
    this.#waitsForKey = true;
  }

  #decoding(): VideoDecoder {
    if (this.#decoder && this.#decoder.state !== "closed") return this.#decoder;
    const decoder = new VideoDecoder({
      output: (frame) => {
        if (frame.timestamp > this.#oldUntil) this.#lane.observe(frame.timestamp, performance.now());
        this.#presenter.add(frame);
      },
      error: (error) => {
        if (this.#decoder === decoder) this.#fail(error);
      },
    });
    this.#decoder = decoder;
    decoder.configure(this.#config);
    return decoder;
  }

  /** Closes the failed decoder. A new one starts at the next key chunk. */
  #fail(error: unknown): void {
    const decoder = this.#decoder;
    this.#decoder = undefined;
    if (decoder && decoder.state !== "closed") decoder.close();
    this.#waitsForKey = true;
    if (isUnsupported(error)) {
      this.#host.unsupported((error as Error).message);
      return;
    }
    if (!isReclaimed(error)) this.#host.undecodable(1);
    this.#host.needKey();
  }
}
