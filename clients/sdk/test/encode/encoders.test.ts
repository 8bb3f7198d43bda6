import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AudioTrackEncoder } from "../../src/encode/audio-encoder";
import type { Encoded, EncoderHost } from "../../src/encode/encoder";
import { VideoTrackEncoder } from "../../src/encode/video-encoder";
import type { WeirError } from "../../src/errors";

/** Fake encoder that returns each frame as a chunk. */
class FakeEncoder {
  static made: FakeEncoder[] = [];
  state = "unconfigured";
  encodeQueueSize = 0;
  config: { codec: string } | undefined;
  readonly #init: { output: (chunk: unknown) => void; error: (error: unknown) => void };

  constructor(init: FakeEncoder["init"]) {
    this.#init = init;
    FakeEncoder.made.push(this);
  }

  get init() {
    return this.#init;
  }

  configure(config: { codec: string }): void {
    this.state = "configured";
    this.config = config;
  }

  encode({ timestamp }: { timestamp: number }, options?: { keyFrame: boolean }): void {
    if (this.state !== "configured") throw new DOMException("closed", "InvalidStateError");
    const type = options?.keyFrame ? "key" : "delta";
    this.#init.output({ timestamp, type, byteLength: 1, duration: 20_000, copyTo: () => {} });
  }

  close(): void {
    this.state = "closed";
  }

  fail(name: string): void {
    this.state = "closed";
    this.#init.error(new DOMException("fake", name));
  }
}

const SIZE = { width: 640, height: 360, frameRate: 30, bitrate: 500_000 };
let sent: Encoded[];
let failed: WeirError[];
let deliver: (frame: unknown) => void;
let stop: () => void;

beforeEach(() => {
  FakeEncoder.made = [];
  sent = [];
  failed = [];
  vi.stubGlobal("VideoEncoder", FakeEncoder);
  vi.stubGlobal("AudioEncoder", FakeEncoder);
  vi.stubGlobal(
    "OffscreenCanvas",
    class {
      getContext() {
        return { canvas: this, drawImage: () => {} };
      }
    },
  );
  vi.stubGlobal(
    "VideoFrame",
    class {
      readonly timestamp: number;
      constructor(_: unknown, { timestamp }: { timestamp: number }) {
        this.timestamp = timestamp;
      }
      close() {}
    },
  );
  vi.stubGlobal(
    "MediaStreamTrackProcessor",
    class {
      readable = new ReadableStream({
        start: (controller) => {
          deliver = (frame) => controller.enqueue(frame);
        },
      });
    },
  );
});
afterEach(() => {
  stop();
  vi.unstubAllGlobals();
});

const host: EncoderHost = {
  open: () => true,
  backlog: () => 0,
  send: (chunk) => sent.push(chunk),
  failed: (error) => failed.push(error),
};

/** Delivers the next frame, and waits until the encoder has it. */
async function picture(at: number): Promise<void> {
  const frame = {
    timestamp: at * 40_000,
    displayWidth: 640,
    displayHeight: 360,
    close: () => {},
    clone: () => frame,
  };
  deliver(frame);
  await vi.waitFor(() => expect(sent.length).toBeGreaterThanOrEqual(at));
}

async function sound(at: number): Promise<void> {
  deliver({
    timestamp: at * 20_000,
    duration: 20_000,
    sampleRate: 48_000,
    numberOfChannels: 1,
    numberOfFrames: 0,
    copyTo: () => {},
    close: () => {},
  });
  await vi.waitFor(() => expect(sent.length).toBeGreaterThanOrEqual(at));
}

test("reclaimed video encoder is reopened with the same codec, any number of times", async () => {
  const encoder = new VideoTrackEncoder(host, "vp8", SIZE);
  stop = () => encoder.stop();
  encoder.start({} as MediaStreamTrack);
  await picture(1);
  for (let times = 1; times <= 5; times++) {
    FakeEncoder.made.at(-1)?.fail("QuotaExceededError");
    await picture(times + 1);
    expect(sent.at(-1)?.key, "starts with a key chunk").toBe(true);
    expect(FakeEncoder.made.at(-1)?.config?.codec).toBe("vp8");
  }
  expect(failed).toEqual([]);
  // The reclaim did not count: the first real failure still switches to drawing the frames.
  FakeEncoder.made.at(-1)?.fail("EncodingError");
  await picture(7);
  expect(failed).toEqual([]);
  FakeEncoder.made.at(-1)?.fail("EncodingError");
  expect(failed).toMatchObject([{ code: "not_supported" }]);
});

test("encoder that closes before its error event is reopened", async () => {
  const encoder = new VideoTrackEncoder(host, "vp8", SIZE);
  stop = () => encoder.stop();
  encoder.start({} as MediaStreamTrack);
  await picture(1);
  const [first] = FakeEncoder.made;
  first?.close();
  await picture(2);
  first?.fail("QuotaExceededError");
  await picture(3);
  expect(FakeEncoder.made).toHaveLength(2);
  expect(failed).toEqual([]);
});

test("reclaimed audio encoder is reopened", async () => {
  const encoder = new AudioTrackEncoder(host, 32_000);
  stop = () => encoder.stop();
  encoder.start({} as MediaStreamTrack);
  await sound(1);
  for (let times = 1; times <= 3; times++) {
    FakeEncoder.made.at(-1)?.fail("QuotaExceededError");
    await sound(times + 1);
  }
  expect(failed).toEqual([]);
  FakeEncoder.made.at(-1)?.fail("EncodingError");
  expect(failed).toMatchObject([{ code: "not_supported" }]);
});
