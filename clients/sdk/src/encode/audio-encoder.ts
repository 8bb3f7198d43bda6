import { CaptureClock } from "../capture/capture-clock.js";
import type { CaptureReader } from "../capture/frames.js";
import { readSamples } from "../capture/samples.js";
import { OPUS } from "../codecs/families.js";
import { isReclaimed } from "../codecs/faults.js";
import { asWeirError, WeirError } from "../errors.js";
import { Level } from "../media/level.js";
import type { EncoderHost, TrackEncoder } from "./encoder.js";

/** Duration of a chunk: 20 ms, as usual for conversations. */
const FRAME_US = 20_000;

/** Audio encoder that produces Opus with WebCodecs. */
export class AudioTrackEncoder implements TrackEncoder {
  readonly codec = OPUS;
  readonly targetBitrate: number;
  readonly skipped = 0;
  readonly #host: EncoderHost;
  readonly #level = new Level();
  #encoder: AudioEncoder;
  #clock = new CaptureClock();
  #source: CaptureReader | undefined;
  #format: { sampleRate: number; channels: number } | undefined;
  #stopped = false;

  constructor(host: EncoderHost, bitrate: number) {
    this.#host = host;
    this.targetBitrate = bitrate;
    this.#encoder = this.#open();
  }

  get level(): number {
    return this.#level.value;
  }

  start(track: MediaStreamTrack): void {
    this.#source?.stop();
    this.#clock = new CaptureClock();
    this.#source = readSamples(
      track,
      (data) => this.#encode(data),
      (error) => this.#fail(error),
    );
  }

  /** Does nothing: every audio chunk is a key chunk. */
  requestKey(): void {}

  stop(): void {
    this.#stopped = true;
    this.#source?.stop();
    if (this.#encoder.state !== "closed") this.#encoder.close();
  }

  #open(): AudioEncoder {
    this.#format = undefined;
    const encoder = new AudioEncoder({
      output: (chunk) => this.#deliver(chunk),
      error: (error) => {
        if (this.#stopped) return;
        if (isReclaimed(error)) {
          if (this.#encoder === encoder) this.#encoder = this.#open();
        } else this.#fail(new WeirError("not_supported", `the encoder failed: ${error.message}`));
      },
    });
    return encoder;
  }

  #encode(data: AudioData): void {
    try {
      if (this.#stopped) return;
      // Data arrives when its last sample is captured, and has the timestamp of its first one.
      this.#clock.observe(data.timestamp + data.duration, performance.now());
      this.#level.add(data);
      if (!this.#host.open()) return;
      // Its error event may still be pending.
      if (this.#encoder.state === "closed") this.#encoder = this.#open();
      this.#configure(data);
      this.#encoder.encode(data);
    } catch (error) {
      if (isReclaimed(error)) this.#encoder = this.#open();
      else this.#fail(asWeirError(error));
    } finally {
      data.close();
    }
  }

  #configure({ sampleRate, numberOfChannels }: AudioData): void {
    const channels = Math.min(2, numberOfChannels);
    if (this.#format?.sampleRate === sampleRate && this.#format.channels === channels) return;
    this.#format = { sampleRate, channels };
    this.#encoder.configure({
      codec: OPUS,
      sampleRate,
      numberOfChannels: channels,
      bitrate: this.targetBitrate,
      opus: { frameDuration: FRAME_US },
    });
  }

  #deliver(chunk: EncodedAudioChunk): void {
    const payload = new Uint8Array(chunk.byteLength);
    chunk.copyTo(payload);
    this.#host.send({
      atMs: this.#clock.at(chunk.timestamp),
      key: true,
      durationUs: chunk.duration ?? FRAME_US,
      payload,
    });
  }

  #fail(error: WeirError): void {
    if (this.#stopped) return;
    this.stop();
    this.#host.failed(error);
  }
}
