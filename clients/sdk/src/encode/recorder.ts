import type { VideoSize } from "../capture/presets.js";
import { codecString } from "../codecs/families.js";
import { WeirError } from "../errors.js";
import type { EncoderHost, TrackEncoder } from "./encoder.js";
import { WebmReader } from "./webm-reader.js";

/** How often the recorder hands over what it has. */
const SLICE_MS = 40;
const KEY_INTERVAL_MS = 2_000;
/** A recorder makes a key chunk on request only by beginning anew. */
const RESTART_MS = 700;

/** What {@link TrackRecorder} can make of such a track; `undefined` if nothing. */
export function recorderType(kind: "audio" | "video"): { type: string; codec: string } | undefined {
  if (typeof MediaRecorder === "undefined") return undefined;
  const codecs = kind === "audio" ? ["opus"] : ["vp8", "vp9"];
  for (const codec of codecs) {
    const type = `${kind}/webm;codecs="${codec}"`;
    if (MediaRecorder.isTypeSupported(type)) return { type, codec };
  }
  return undefined;
}

/**
 * Encodes with a MediaRecorder, for browsers without WebCodecs. Its WebM is taken apart, so what is sent
 * are the same chunks, and the others need not know.
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

  constructor(host: EncoderHost, made: { type: string; codec: string }, bitrate: number, size?: VideoSize) {
    this.#host = host;
    this.#type = made.type;
    this.#video = size !== undefined;
    this.codec = made.codec === "vp9" && size ? codecString("vp9", size) : made.codec;
    this.targetBitrate = bitrate;
  }

  start(track: MediaStreamTrack): void {
    this.#track = track;
    this.#begin();
  }

  requestKey(): void {
    if (this.#video && performance.now() - this.#keyAt > RESTART_MS) this.#begin();
  }

  stop(): void {
    this.#end();
    this.#track = undefined;
  }

  #begin(): void {
    this.#end();
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

  #end(): void {
    const recorder = this.#recorder;
    this.#recorder = undefined;
    if (recorder && recorder.state !== "inactive") recorder.stop();
  }

  #deliver(atMs: number, key: boolean, payload: Uint8Array): void {
    if (key) this.#keyAt = performance.now();
    // What was not sent is missing for those that follow, up to the next key chunk.
    if (!this.#host.open()) {
      this.#waitsForKey = true;
      return;
    }
    if (this.#waitsForKey && !key) return;
    this.#waitsForKey = false;
    this.#host.send({ atMs, key, payload });
  }
}
