import type { TrackKind } from "../protocol.js";
import { Rate } from "./rate.js";
import type { LocalTrackStats, RemoteTrackStats } from "./stats.js";

interface FrameSize {
  width: number;
  height: number;
}

/** Counters of a published track. */
export class SendMeter {
  readonly #bits = new Rate();
  readonly #rate = new Rate();
  readonly #sums = { chunks: 0, bytes: 0, keyframes: 0 };
  #size: FrameSize | undefined;

  /** Counts a sent chunk. */
  sent(bytes: number, key: boolean): void {
    this.#sums.chunks += 1;
    this.#sums.bytes += bytes;
    if (key) this.#sums.keyframes += 1;
    this.#bits.add(bytes * 8);
    this.#rate.add(1);
  }

  /** Records the size of the encoded frames. */
  resized(size: FrameSize): void {
    this.#size = size;
  }

  /** Returns the statistics, except for the encoder's. */
  stats(): Omit<LocalTrackStats, "codec" | "targetBitrate" | "skipped"> {
    return {
      bitrate: Math.round(this.#bits.perSecond()),
      frameRate: this.#rate.perSecond(),
      ...this.#size,
      ...this.#sums,
    };
  }
}

/** Counters of a received track. */
export class ReceiveMeter {
  readonly #bits = new Rate();
  readonly #received = new Rate();
  readonly #shown = new Rate();
  readonly #sums = { chunks: 0, bytes: 0, gaps: 0, lost: 0, dropped: 0, starved: 0, undecodable: 0 };
  #size: FrameSize | undefined;
  #latencyMs: number | undefined;

  /** Counts a received chunk. */
  received(bytes: number): void {
    this.#sums.chunks += 1;
    this.#sums.bytes += bytes;
    this.#bits.add(bytes * 8);
    this.#received.add(1);
  }

  /** Counts a gap of `chunks`. */
  gap(chunks: number): void {
    this.#sums.gaps += 1;
    this.#sums.lost += chunks;
  }

  /** Adds to one of the counters that the player drives. */
  count(what: "dropped" | "starved" | "undecodable", amount: number): void {
    this.#sums[what] += amount;
  }

  /** Counts a presented chunk: a frame of this size, or audio of no size. */
  shown(width: number, height: number): void {
    this.#shown.add(1);
    if (width > 0) this.#size = { width, height };
  }

  /** Records the latency of the presented frame. */
  latency(latencyMs: number): void {
    this.#latencyMs = latencyMs;
  }

  /** Returns the statistics, except for the player's. */
  stats(kind: TrackKind): Omit<RemoteTrackStats, "codec" | "jitterMs" | "bufferMs"> {
    const rate = kind === "video" ? this.#shown : this.#received;
    return {
      bitrate: Math.round(this.#bits.perSecond()),
      frameRate: rate.perSecond(),
      ...this.#size,
      ...this.#sums,
      ...(this.#latencyMs === undefined ? {} : { latencyMs: this.#latencyMs }),
    };
  }
}
