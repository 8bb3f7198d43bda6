import { asWeirError, type WeirError } from "../errors.js";
import { audioContext, loadWorklet } from "../media/audio-context.js";
import { processor } from "../media/media-stream.js";
import { type CaptureReader, read } from "./frames.js";

/** Reads the audio of `track` in pieces of some milliseconds. `deliver` must close each of them. */
export function readSamples(
  track: MediaStreamTrack,
  deliver: (data: AudioData) => void,
  failed: (error: WeirError) => void,
): CaptureReader {
  const reader = processor<AudioData>(track)?.readable.getReader();
  return reader ? read(reader, deliver) : tap(track, deliver, failed);
}

/** Reads audio through an AudioWorklet, for browsers without MediaStreamTrackProcessor. */
function tap(
  track: MediaStreamTrack,
  deliver: (data: AudioData) => void,
  failed: (error: WeirError) => void,
): CaptureReader {
  const context = audioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  let node: AudioWorkletNode | undefined;
  let stopped = false;
  const start = async () => {
    await loadWorklet(captureProcessor);
    if (stopped) return;
    node = new AudioWorkletNode(context, "weir-capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }: MessageEvent<{ at: number; channels: Float32Array<ArrayBuffer>[] }>) => {
      const { at, channels } = data;
      const length = channels[0]?.length ?? 0;
      const joined = new Float32Array(length * channels.length);
      channels.forEach((channel, index) => {
        joined.set(channel, index * length);
      });
      deliver(
        new AudioData({
          format: "f32-planar",
          sampleRate: context.sampleRate,
          numberOfFrames: length,
          numberOfChannels: channels.length,
          timestamp: Math.round(at * 1_000_000),
          data: joined,
        }),
      );
    };
    source.connect(node);
  };
  start().catch((error) => failed(asWeirError(error)));
  return {
    stop() {
      stopped = true;
      source.disconnect();
      node?.port.close();
    },
  };
}

/** Runs in the audio thread. Posts blocks of 10 ms with the context's time of their first sample. */
function captureProcessor(): void {
  const FRAMES = 480;
  class Capture extends AudioWorkletProcessor {
    #channels: Float32Array[] = [];
    #filled = 0;
    #at = 0;

    process([input]: Float32Array[][]): boolean {
      const frames = input?.[0]?.length ?? 0;
      if (!input || frames === 0) return true;
      for (let from = 0; from < frames; ) {
        if (this.#filled === 0) {
          this.#channels = input.map(() => new Float32Array(FRAMES));
          this.#at = currentTime + from / sampleRate;
        }
        const count = Math.min(FRAMES - this.#filled, frames - from);
        this.#channels.forEach((channel, index) => {
          channel.set((input[index] ?? input[0] ?? channel).subarray(from, from + count), this.#filled);
        });
        this.#filled += count;
        from += count;
        if (this.#filled === FRAMES) {
          this.port.postMessage({ at: this.#at, channels: this.#channels });
          this.#filled = 0;
        }
      }
      return true;
    }
  }
  registerProcessor("weir-capture", Capture);
}
