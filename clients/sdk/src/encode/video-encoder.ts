import { CaptureClock } from "../capture/capture-clock.js";
import { type FrameSource, readFrames } from "../capture/frames.js";
import type { VideoCodec, VideoSize } from "../capture/presets.js";
import { encoderConfig } from "../codecs/families.js";
import { isReclaimed } from "../codecs/faults.js";
import { asWeirError, WeirError } from "../errors.js";
import { BitrateControl } from "./bitrate.js";
import type { EncoderHost, TrackEncoder } from "./encoder.js";
import { KeySchedule } from "./key-schedule.js";

/** With more pictures inside of the encoder it does not keep up. */
const QUEUE = 2;
/** A source that shows nothing new, such as a screen, delivers nothing: its last picture is sent again. */
const STILL_MS = 200;
const REST_MS = 1_000;

/** Encodes pictures by WebCodecs. */
export class VideoTrackEncoder implements TrackEncoder {
  readonly level = 0;
  readonly #host: EncoderHost;
  readonly #most: VideoSize;
  readonly #bitrate: BitrateControl;
  readonly #keys = new KeySchedule();
  #family: VideoCodec;
  #encoder: VideoEncoder;
  #config: VideoEncoderConfig | undefined;
  #clock = new CaptureClock();
  #source: FrameSource | undefined;
  /** Through which pictures go that the encoder does not take as they are. */
  #redraw: OffscreenCanvasRenderingContext2D | undefined;
  #latest: VideoFrame | undefined;
  #latestAt = 0;
  #lastTimestamp = Number.NEGATIVE_INFINITY;
  #still: ReturnType<typeof setInterval> | undefined;
  #skipped = 0;
  #stopped = false;

  constructor(host: EncoderHost, family: VideoCodec, most: VideoSize) {
    this.#host = host;
    this.#family = family;
    this.#most = most;
    this.#bitrate = new BitrateControl(most.bitrate);
    this.#encoder = this.#open();
  }

  get codec(): string {
    return encoderConfig(this.#family, this.#most).codec;
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
    this.#source = readFrames(track, (frame) => this.#take(frame));
    clearInterval(this.#still);
    this.#still = setInterval(() => this.#repeat(), STILL_MS);
  }

  requestKey(): void {
    this.#keys.request();
  }

  /** Goes on with another codec. */
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
          // The codec and the frames are fine.
          if (this.#encoder === encoder) this.#reopen();
          return;
        }
        if (this.#redraw) {
          this.#host.failed(new WeirError("not_supported", `the encoder failed: ${error.message}`));
          return;
        }
        // Some cameras' pixels are of a format that can be drawn, and not be encoded.
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

  /** What is encoded for `frame`; whoever asks closes it. */
  #picture(frame: VideoFrame): VideoFrame {
    if (!this.#redraw) return frame.clone();
    const { canvas } = this.#redraw;
    if (canvas.width !== frame.displayWidth) canvas.width = frame.displayWidth;
    if (canvas.height !== frame.displayHeight) canvas.height = frame.displayHeight;
    this.#redraw.drawImage(frame, 0, 0);
    return new VideoFrame(canvas, { timestamp: frame.timestamp });
  }

  #take(frame: VideoFrame): void {
    const now = performance.now();
    if (this.#stopped) {
      frame.close();
      return;
    }
    this.#clock.observe(frame.timestamp, now);
    this.#latest?.close();
    this.#latest = frame;
    this.#latestAt = now;
    const interval = 1_000_000 / this.#most.frameRate;
    // Cameras deliver more than they are asked for; three quarters leave room for their unevenness.
    if (frame.timestamp - this.#lastTimestamp < interval * 0.75) return;
    this.#encode(frame, now);
  }

  /** Sends the last picture once more, where none came for a while. */
  #repeat(): void {
    const latest = this.#latest;
    const now = performance.now();
    const rest = now - this.#latestAt;
    if (!latest || rest < STILL_MS) return;
    const timestamp = Math.max(this.#lastTimestamp + 1, latest.timestamp + Math.round(rest * 1_000));
    // Once a second is enough to keep it alive, unless somebody waits for a key chunk.
    if (!this.#keys.waiting && timestamp - this.#lastTimestamp < REST_MS * 1_000) return;
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
    if (this.#encoder.encodeQueueSize > QUEUE || this.#bitrate.tooMuch(this.#host.backlog())) {
      this.#skipped += 1;
      return;
    }
    try {
      this.#configure(frame, now);
      this.#lastTimestamp = frame.timestamp;
      const picture = this.#picture(frame);
      this.#encoder.encode(picture, { keyFrame: this.#keys.take(now) });
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
    // The source's shape, no larger than asked for and than the network takes; encoders want even numbers.
    const scale =
      this.#bitrate.scale *
      Math.min(
        1,
        Math.sqrt((this.#most.width * this.#most.height) / (frame.displayWidth * frame.displayHeight)),
      );
    const width = Math.max(2, Math.round((frame.displayWidth * scale) / 2) * 2);
    const height = Math.max(2, Math.round((frame.displayHeight * scale) / 2) * 2);
    const same = this.#config?.width === width && this.#config.height === height;
    if (same && bitrate === undefined) return;
    if (!same) this.#keys.restart();
    const size = { width, height, frameRate: this.#most.frameRate, bitrate: this.#bitrate.target };
    // The codec string names the largest size, so that it stays what was published.
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
