import { CaptureClock } from "../capture/capture-clock.js";
import { type CaptureReader, readFrames } from "../capture/frames.js";
import type { VideoSize } from "../capture/presets.js";
import { encoderConfig, type VideoCodec } from "../codecs/families.js";
import { isReclaimed } from "../codecs/faults.js";
import { asWeirError, WeirError } from "../errors.js";
import { BitrateControl } from "./bitrate.js";
import type { EncoderHost, TrackEncoder } from "./encoder.js";
import { KeySchedule } from "./key-schedule.js";

/** Maximum frames in the encoder. A longer queue means that it does not keep up. */
const MAX_QUEUE = 2;
/** Pause of the source after which its last frame is repeated. A screen without changes delivers no frames. */
const STILL_MS = 200;
/** Interval of repeated frames while nobody waits for a key chunk. */
const REPEAT_MS = 1_000;

/** Video encoder that uses WebCodecs. */
export class VideoTrackEncoder implements TrackEncoder {
  readonly level = 0;
  readonly #host: EncoderHost;
  readonly #max: VideoSize;
  readonly #bitrate: BitrateControl;
  readonly #keys = new KeySchedule();
  #family: VideoCodec;
  #encoder: VideoEncoder;
  #config: VideoEncoderConfig | undefined;
  #clock = new CaptureClock();
  #source: CaptureReader | undefined;
  /** Canvas that converts frames whose pixel format the encoder rejects; `undefined` if not needed. */
  #redraw: OffscreenCanvasRenderingContext2D | undefined;
  #latest: VideoFrame | undefined;
  #latestAt = 0;
  #lastTimestamp = Number.NEGATIVE_INFINITY;
  #still: ReturnType<typeof setInterval> | undefined;
  #skipped = 0;
  #stopped = false;

  constructor(host: EncoderHost, family: VideoCodec, max: VideoSize) {
    this.#host = host;
    this.#family = family;
    this.#max = max;
    this.#bitrate = new BitrateControl(max.bitrate);
    this.#encoder = this.#open();
  }

  get codec(): string {
    return encoderConfig(this.#family, this.#max).codec;
  }

  get family(): VideoCodec {
    return this.#family;
  }

  get targetBitrate(): number {
    return this.#bitrate.target;
  }

  get skipped(): number {
    return this.#skipped;
  }

  start(track: MediaStreamTrack): void {
    this.#source?.stop();
    this.#clock = new CaptureClock();
    this.#redraw = undefined;
    this.#lastTimestamp = Number.NEGATIVE_INFINITY;
    this.#keys.restart();
    this.#source = readFrames(track, (frame) => this.#frame(frame));
    clearInterval(this.#still);
    this.#still = setInterval(() => this.#repeat(), STILL_MS);
  }

  requestKey(): void {
    this.#keys.request();
  }

  /** Switches to another codec, starting with a key chunk. */
  change(family: VideoCodec): void {
    this.#family = family;
    this.#config = undefined;
    this.#keys.restart();
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#still);
    this.#source?.stop();
    this.#latest?.close();
    this.#latest = undefined;
    if (this.#encoder.state !== "closed") this.#encoder.close();
  }

  #open(): VideoEncoder {
    const encoder = new VideoEncoder({
      output: (chunk) => this.#deliver(chunk),
      error: (error) => {
        if (this.#stopped) return;
        if (isReclaimed(error)) {
          // Neither the codec nor the frames are at fault.
          if (this.#encoder === encoder) this.#reopen();
          return;
        }
        if (this.#redraw) {
          this.#host.failed(new WeirError("not_supported", `the encoder failed: ${error.message}`));
          return;
        }
        // Some cameras use a pixel format that can be drawn but not encoded.
        this.#redraw = new OffscreenCanvas(2, 2).getContext("2d", { alpha: false }) ?? undefined;
        this.#reopen();
      },
    });
    return encoder;
  }

  /** Opens a new encoder. It holds no codec resources until the next frame configures it. */
  #reopen(): void {
    this.#config = undefined;
    this.#keys.restart();
    this.#encoder = this.#open();
  }

  /** Returns the frame to encode, which the caller closes. */
  #picture(frame: VideoFrame): VideoFrame {
    if (!this.#redraw) return frame.clone();
    const { canvas } = this.#redraw;
    if (canvas.width !== frame.displayWidth) canvas.width = frame.displayWidth;
    if (canvas.height !== frame.displayHeight) canvas.height = frame.displayHeight;
    this.#redraw.drawImage(frame, 0, 0);
    return new VideoFrame(canvas, { timestamp: frame.timestamp });
  }

  #frame(frame: VideoFrame): void {
    const now = performance.now();
    if (this.#stopped) {
      frame.close();
      return;
    }
    this.#clock.observe(frame.timestamp, now);
    this.#latest?.close();
    this.#latest = frame;
    this.#latestAt = now;
    const interval = 1_000_000 / this.#max.frameRate;
    // Cameras exceed the requested rate. Three quarters of the interval tolerate their jitter.
    if (frame.timestamp - this.#lastTimestamp < interval * 0.75) return;
    this.#encode(frame, now);
  }

  /** Encodes the last frame again after a pause of the source. */
  #repeat(): void {
    const latest = this.#latest;
    const now = performance.now();
    const rest = now - this.#latestAt;
    if (!latest || rest < STILL_MS) return;
    const timestamp = Math.max(this.#lastTimestamp + 1, latest.timestamp + Math.round(rest * 1_000));
    // A slow repetition suffices unless a receiver waits for a key chunk.
    if (!this.#keys.waiting && timestamp - this.#lastTimestamp < REPEAT_MS * 1_000) return;
    const again = new VideoFrame(latest, { timestamp });
    this.#encode(again, now);
    again.close();
  }

  #encode(frame: VideoFrame, now: number): void {
    if (!this.#host.open()) {
      this.#keys.restart();
      return;
    }
    // Its error event may still be pending.
    if (this.#encoder.state === "closed") this.#reopen();
    if (this.#encoder.encodeQueueSize > MAX_QUEUE || this.#bitrate.exceeds(this.#host.backlog())) {
      this.#skipped += 1;
      return;
    }
    try {
      this.#configure(frame, now);
      this.#lastTimestamp = frame.timestamp;
      const picture = this.#picture(frame);
      this.#encoder.encode(picture, { keyFrame: this.#keys.due(now) });
      picture.close();
    } catch (error) {
      if (isReclaimed(error)) {
        this.#reopen();
        return;
      }
      this.stop();
      this.#host.failed(asWeirError(error));
    }
  }

  #configure(frame: VideoFrame, now: number): void {
    const bitrate = this.#bitrate.step(now);
    // Keeps the aspect ratio, within the maximum size and the bitrate. Encoders need even numbers.
    const scale =
      this.#bitrate.scale *
      Math.min(
        1,
        Math.sqrt((this.#max.width * this.#max.height) / (frame.displayWidth * frame.displayHeight)),
      );
    const width = Math.max(2, Math.round((frame.displayWidth * scale) / 2) * 2);
    const height = Math.max(2, Math.round((frame.displayHeight * scale) / 2) * 2);
    const same = this.#config?.width === width && this.#config.height === height;
    if (same && bitrate === undefined) return;
    if (!same) this.#keys.restart();
    const size = { width, height, frameRate: this.#max.frameRate, bitrate: this.#bitrate.target };
    // The codec string stays that of the maximum size, which was announced.
    this.#config = { ...encoderConfig(this.#family, size), codec: this.codec };
    this.#encoder.configure(this.#config);
  }

  #deliver(chunk: EncodedVideoChunk): void {
    const payload = new Uint8Array(chunk.byteLength);
    chunk.copyTo(payload);
    const { width, height } = this.#config ?? {};
    this.#host.send({
      atMs: this.#clock.at(chunk.timestamp),
      key: chunk.type === "key",
      payload,
      ...(width === undefined || height === undefined ? {} : { width, height }),
    });
  }
}
