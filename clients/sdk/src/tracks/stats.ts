const BUCKET_MS = 250;
const BUCKETS = 8;

/** How much of something there was a second, over the last two seconds. */
export class Rate {
  readonly #sums = new Float64Array(BUCKETS);
  #newest = 0;
  #since: number | undefined;

  add(amount: number, now = performance.now()): void {
    this.#since ??= now;
    this.#turn(now);
    const at = this.#newest % BUCKETS;
    this.#sums[at] = (this.#sums[at] ?? 0) + amount;
  }

  perSecond(now = performance.now()): number {
    if (this.#since === undefined) return 0;
    this.#turn(now);
    let sum = 0;
    for (const each of this.#sums) sum += each;
    const span = Math.min(now - this.#since, (BUCKETS - 1) * BUCKET_MS + (now % BUCKET_MS));
    return span < BUCKET_MS ? 0 : (sum * 1_000) / span;
  }

  #turn(now: number): void {
    const bucket = Math.floor(now / BUCKET_MS);
    if (bucket - this.#newest >= BUCKETS) this.#sums.fill(0);
    else for (let each = this.#newest + 1; each <= bucket; each++) this.#sums[each % BUCKETS] = 0;
    this.#newest = Math.max(bucket, this.#newest);
  }
}

/** What arrives of a track, and what becomes of it. */
export interface RemoteTrackStats {
  codec: string;
  /** Payload received, in bits a second. */
  bitrate: number;
  /** Pictures shown a second for video, chunks received a second for everything else. */
  frameRate: number;
  width?: number;
  height?: number;
  /** Chunks received. */
  chunks: number;
  /** Bytes of payload received. */
  bytes: number;
  /** How many times chunks were announced as missing. */
  gaps: number;
  /** Chunks announced as missing. */
  lost: number;
  /** Pictures decoded and not shown, since a newer one was due. */
  dropped: number;
  /** How many times there was no sound to play, pauses of its publisher included. */
  starved: number;
  /** Chunks that neither the transform nor the decoder could make sense of. */
  undecodable: number;
  /** From capture to presentation, estimated through the node's clock; only for tracks that an SDK publishes. */
  latencyMs?: number;
  /** How much the chunks' ways differ. */
  jitterMs: number;
  /** What is held back to play evenly. */
  bufferMs: number;
}

/** What leaves of a track. */
export interface LocalTrackStats {
  codec: string;
  /** Payload sent, in bits a second. */
  bitrate: number;
  /** What the encoder is asked for, in bits a second; 0 for raw chunks. */
  targetBitrate: number;
  /** Chunks sent a second: pictures, for video. */
  frameRate: number;
  width?: number;
  height?: number;
  chunks: number;
  bytes: number;
  /** Pictures that were not encoded, since the encoder or the network lagged. */
  skipped: number;
  keyframes: number;
}
