import type { VideoSize } from "../capture/presets.js";
import { codecString } from "../codecs/families.js";
import { WeirError } from "../errors.js";
import type { EncoderHost, TrackEncoder } from "./encoder.js";
import { WebmReader } from "./webm-reader.js";

/** Interval at which the recorder delivers data. */
const SLICE_MS = 40;
const KEY_INTERVAL_MS = 2_000;
/** Minimum interval of restarts. Only a restart makes a recorder produce a key chunk on request. */
const RESTART_MS = 700;

/** Format of a {@link TrackRecorder}. */
interface RecorderType {
  type: string;
  codec: string;
}

/** Returns the format to record tracks of this kind in; `undefined` if the browser supports none. */
export function recorderType(kind: "audio" | "video"): RecorderType | undefined {
  if (typeof MediaRecorder === "undefined") return undefined;
  const codecs = kind === "audio" ? ["opus"] : ["vp8", "vp9"];
  for (const codec of codecs) {
    const type = `${kind}/webm;codecs="${codec}"`;
    if (MediaRecorder.isTypeSupported(type)) return { type, codec };
  }
  return undefined;
}

/**
 * Encoder that uses a MediaRecorder, for browsers without WebCodecs. It demuxes the recorded WebM into the same
 * chunks that WebCodecs produces, so receivers see no difference.
 */
export class TrackRecorder implements TrackEncoder {
  readonly level = 0;
  readonly skipped = 0;
  readonly codec: string;
  readonly targetBitrate: number;
  readonly #host: EncoderHost;
  readonly #type: string;
  readonly #video: boolean;
  #track: MediaStreamTrack | undefined;
  #recorder: MediaRecorder | undefined;
  #keyAt = 0;
  #waitsForKey = false;

  constructor(host: EncoderHost, { type, codec }: RecorderType, bitrate: number, size?: VideoSize) {
    this.#host = host;
    this.#type = type;
    this.#video = size !== undefined;
    this.codec = codec === "vp9" && size ? codecString("vp9", size) : codec;
    this.targetBitrate = bitrate;
  }

  start(track: MediaStreamTrack): void {
    this.#track = track;
    this.#restart();
  }

  requestKey(): void {
    if (this.#video && performance.now() - this.#keyAt > RESTART_MS) this.#restart();
  }

  stop(): void {
    this.#stopRecorder();
    this.#track = undefined;
  }

  #restart(): void {
    this.#stopRecorder();
    if (!this.#track) return;
    const options: MediaRecorderOptions & { videoKeyFrameIntervalDuration: number } = {
      mimeType: this.#type,
      ...(this.#video
        ? { videoBitsPerSecond: this.targetBitrate }
        : { audioBitsPerSecond: this.targetBitrate }),
      videoKeyFrameIntervalDuration: KEY_INTERVAL_MS,
    };
    const recorder = new MediaRecorder(new MediaStream([this.#track]), options);
    const reader = new WebmReader();
    let startedAt = performance.now();
    let reading = Promise.resolve();
    recorder.onstart = () => {
      startedAt = performance.now();
    };
    recorder.ondataavailable = ({ data }) => {
      reading = reading.then(async () => {
        const bytes = new Uint8Array(await data.arrayBuffer());
        if (this.#recorder !== recorder) return;
        for (const { timeMs, key, payload } of reader.read(bytes)) {
          this.#deliver(startedAt + timeMs, key || !this.#video, payload);
        }
      });
    };
    recorder.onerror = () => {
      if (this.#recorder === recorder)
        this.#host.failed(new WeirError("not_supported", "the recorder failed"));
    };
    this.#recorder = recorder;
    this.#keyAt = startedAt;
    recorder.start(SLICE_MS);
  }

  #stopRecorder(): void {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    if (recorder && recorder.state !== "inactive") recorder.stop();
  }

  #deliver(atMs: number, key: boolean, payload: Uint8Array): void {
    if (key) this.#keyAt = performance.now();
    // Without this chunk, the following ones are undecodable up to the next key chunk.
    if (!this.#host.open()) {
      this.#waitsForKey = true;
      return;
    }
    if (this.#waitsForKey && !key) return;
    this.#waitsForKey = false;
    this.#host.send({ atMs, key, payload });
  }
}
