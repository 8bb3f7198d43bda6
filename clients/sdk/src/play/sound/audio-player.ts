import { isReclaimed, isUnsupported } from "../../codecs/faults.js";
import { audioContext, loadWorklet, SAMPLE_RATE } from "../../media/audio-context.js";
import { Level } from "../../media/level.js";
import type { Chunk, PlayerHost, SoundPlayer } from "../player.js";
import type { Lane } from "../timeline.js";
import { HeardClock } from "./heard-clock.js";
import { JitterBuffer } from "./jitter-buffer.js";
import { Playout } from "./playout.js";
import { type PlayoutCommand, type PlayoutReport, playoutProcessor } from "./playout-processor.js";
import { resample } from "./resample.js";
import { TimeStretcher } from "./time-stretcher.js";

/** Time that samples take from here to the audio thread. */
const HANDOVER_MS = 3;

/** Audio player that decodes with WebCodecs and plays through the page's AudioContext. */
export class AudioPlayer implements SoundPlayer {
  readonly #config: AudioDecoderConfig;
  readonly #lane: Lane;
  readonly #host: PlayerHost;
  readonly #gain: GainNode;
  readonly #level = new Level();
  readonly #clock = new HeardClock(audioContext());
  #decoder: AudioDecoder | undefined;
  #worklet: AudioWorkletNode | undefined;
  #stream: MediaStreamAudioDestinationNode | undefined;
  #bufferMs = 0;
  #starved = 0;
  #stopped = false;

  constructor(config: AudioDecoderConfig, lane: Lane, host: PlayerHost) {
    this.#config = config;
    this.#lane = lane;
    this.#host = host;
    this.#gain = audioContext().createGain();
    this.#gain.connect(audioContext().destination);
    this.#open().catch(() => this.#host.undecodable(1));
  }

  get node(): AudioNode {
    return this.#gain;
  }

  get volume(): number {
    return this.#gain.gain.value;
  }

  set volume(volume: number) {
    this.#gain.gain.value = volume;
  }

  get level(): number {
    return this.#level.value;
  }

  get bufferMs(): number {
    return this.#bufferMs;
  }

  mediaStream(): MediaStream {
    if (!this.#stream) {
      this.#stream = audioContext().createMediaStreamDestination();
      this.#gain.connect(this.#stream);
    }
    return this.#stream.stream;
  }

  push(chunk: Chunk): void {
    // Cached audio is in the past: the other members have heard it.
    if (chunk.replay || this.#stopped) return;
    try {
      this.#decoding().decode(
        new EncodedAudioChunk({
          type: "key",
          timestamp: chunk.ts,
          data: chunk.payload as AllowSharedBufferSource,
        }),
      );
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Does nothing: the timestamps of later chunks show how long the silence lasts. */
  gap(): void {}

  stop(): void {
    this.#stopped = true;
    this.#gain.disconnect();
    this.#worklet?.disconnect();
    this.#worklet?.port.close();
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
  }

  async #open(): Promise<void> {
    await loadWorklet(playoutProcessor, Playout, JitterBuffer, TimeStretcher);
    if (this.#stopped) return;
    const worklet = new AudioWorkletNode(audioContext(), "weir-playout", {
      numberOfInputs: 0,
      outputChannelCount: [2],
    });
    worklet.port.onmessage = ({ data }: MessageEvent<PlayoutReport>) => {
      this.#bufferMs = data.buffered * 1_000;
      if (data.starved > this.#starved) this.#host.starved(data.starved - this.#starved);
      this.#starved = data.starved;
      if (data.delay !== undefined) this.#lane.played(this.#clock.heard(data.delay));
    };
    worklet.connect(this.#gain);
    this.#worklet = worklet;
  }

  #decoding(): AudioDecoder {
    if (this.#decoder && this.#decoder.state !== "closed") return this.#decoder;
    const decoder = new AudioDecoder({
      output: (data) => this.#play(data),
      error: (error) => {
        if (this.#decoder === decoder) this.#fail(error);
      },
    });
    this.#decoder = decoder;
    decoder.configure(this.#config);
    return decoder;
  }

  #play(data: AudioData): void {
    const now = performance.now();
    this.#level.add(data);
    const context = audioContext();
    if (context.state !== "running") {
      this.#host.blocked();
    } else if (this.#worklet) {
      const latency = this.#clock.observe(now);
      this.#lane.observe(data.timestamp, now + latency + HANDOVER_MS);
      const delay = this.#lane.delay;
      if (delay !== undefined) this.#post({ delay: this.#clock.due(delay) });
      const samples = planes(data);
      this.#post({ samples, at: data.timestamp / 1_000_000 }, samples);
    }
    this.#host.shown(data.timestamp, 0, 0);
    data.close();
  }

  #post(command: PlayoutCommand, moved: Float32Array[] = []): void {
    this.#worklet?.port.postMessage(
      command,
      moved.map((each) => each.buffer as ArrayBuffer),
    );
  }

  /** Closes the failed decoder. A new one starts at the next chunk. */
  #fail(error: unknown): void {
    const decoder = this.#decoder;
    this.#decoder = undefined;
    if (decoder && decoder.state !== "closed") decoder.close();
    if (isUnsupported(error)) this.#host.unsupported((error as Error).message);
    else if (!isReclaimed(error)) this.#host.undecodable(1);
  }
}

/** Returns at most two channels of `data`, at the context's sample rate. */
function planes(data: AudioData): Float32Array[] {
  const channels = Math.min(2, data.numberOfChannels);
  return Array.from({ length: channels }, (_, planeIndex) => {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex, format: "f32-planar" });
    return resample(samples, data.sampleRate, SAMPLE_RATE);
  });
}
