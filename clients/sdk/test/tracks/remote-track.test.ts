import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServerClock } from "../../src/connection/server-clock";
import { member } from "../../src/members/member";
import { Timeline } from "../../src/play/timeline";
import type { WireTrack } from "../../src/protocol";
import { RemoteTrack, type RemoteTrackHost } from "../../src/tracks/remote-track";
import { wireMember } from "../fakes";

/** Fake decoder that supports only `vp8`, and shows nothing. */
class FakeDecoder {
  static made: FakeDecoder[] = [];
  static readonly isConfigSupported = vi.fn(async ({ codec }: { codec: string }) => {
    if (codec === "") throw new TypeError("codec is required");
    return { supported: codec === "vp8" || codec === "later" || codec === "at once" };
  });
  state = "unconfigured";
  decodeQueueSize = 0;
  readonly decoded: unknown[] = [];
  readonly #init: { error: (error: unknown) => void };

  constructor(init: { error: (error: unknown) => void }) {
    this.#init = init;
    FakeDecoder.made.push(this);
  }

  configure({ codec }: { codec: string }): void {
    if (codec === "at once") throw new DOMException("fake", "NotSupportedError");
    this.state = "configured";
    if (codec !== "vp8") queueMicrotask(() => this.fail("NotSupportedError"));
  }

  decode(chunk: unknown): void {
    if (this.state !== "configured") throw new DOMException("closed", "InvalidStateError");
    this.decoded.push(chunk);
  }

  close(): void {
    this.state = "closed";
  }

  fail(name: string): void {
    this.state = "closed";
    this.#init.error(new DOMException("fake", name));
  }
}

const wire = (codec: string): WireTrack => ({ id: 1, member: "ann", kind: "video", codec, muted: false });
let asked: number;
let tracks: RemoteTrack[];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("VideoDecoder", FakeDecoder);
  vi.stubGlobal("EncodedVideoChunk", class {});
  FakeDecoder.made = [];
  asked = 0;
  tracks = [];
});
afterEach(() => {
  for (const track of tracks) track.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function open(codec: string): { track: RemoteTrack; errors: string[] } {
  const host: RemoteTrackHost = {
    request: async (event) => {
      if (event === "track:request-keyframe") asked += 1;
      return {} as never;
    },
    member: (id) => member(wireMember(id), "me"),
    timeline: () => new Timeline(),
    clock: new ServerClock(),
    transform: undefined,
    audioBlocked: () => {},
  };
  const track = new RemoteTrack(wire(codec), host, true);
  tracks.push(track);
  const errors: string[] = [];
  track.on("error", ({ code, retryable }) => errors.push(`${code} ${retryable}`));
  track.attach({ getContext: () => ({}) } as unknown as HTMLCanvasElement);
  return { track, errors };
}

/** Delivers 20 chunks a second for this time. None is a key chunk, except the first if `key` is set. */
async function watch(track: RemoteTrack, ms: number, key = false): Promise<void> {
  for (let at = 0; at < ms; at += 50) {
    track.receive(
      { track: 1, seq: at + 1, ts: at * 1_000, ...(key && at === 0 ? { key } : {}) },
      new Uint8Array(1),
    );
    await vi.advanceTimersByTimeAsync(50);
  }
}

test("unknown codec emits one error and requests no key chunk", async () => {
  for (const codec of ["hvc1.1.6.L93.B0", "nonsense", "video/nonsense", ""]) {
    asked = 0;
    const { track, errors } = open(codec);
    await watch(track, 10_000);
    expect(errors, codec).toEqual(["not_supported false"]);
    expect(track.error, codec).toMatchObject({ code: "not_supported" });
    expect(asked, codec).toBe(0);
  }
});

test("codec that fails to configure emits one error", async () => {
  for (const codec of ["later", "at once"]) {
    FakeDecoder.made = [];
    asked = 0;
    const { track, errors } = open(codec);
    await watch(track, 10_000, true);
    expect(errors, codec).toEqual(["not_supported false"]);
    expect(FakeDecoder.made, codec).toHaveLength(1);
    expect(asked, codec).toBeLessThan(3);
  }
});

test("codec of another case is played", async () => {
  const { track, errors } = open("VP8");
  await watch(track, 200, true);
  expect(errors).toEqual([]);
  expect(FakeDecoder.made[0]?.decoded.length).toBeGreaterThan(2);
});

test("codec change opens another player", async () => {
  const { track, errors } = open("nonsense");
  await watch(track, 500);
  track.update(wire("more nonsense"));
  await watch(track, 500);
  expect(errors).toHaveLength(2);
  track.update(wire("vp8"));
  await watch(track, 500, true);
  expect(track.error).toBeUndefined();
  expect(errors).toHaveLength(2);
  expect(FakeDecoder.made[0]?.decoded.length).toBeGreaterThan(2);
});

test("other changes open no player", async () => {
  const { track, errors } = open("nonsense");
  await watch(track, 500);
  track.update({ ...wire("nonsense"), muted: true });
  await watch(track, 500);
  expect(errors).toHaveLength(1);
});

test("chunks that arrive before the browser's answer are played", async () => {
  let say: (answer: { supported: boolean }) => void = () => {};
  FakeDecoder.isConfigSupported.mockImplementationOnce(() => new Promise((resolve) => (say = resolve)));
  const { track } = open("vp8");
  await watch(track, 500, true);
  expect(asked).toBe(0);
  say({ supported: true });
  await vi.advanceTimersByTimeAsync(0);
  expect(FakeDecoder.made[0]?.decoded).toHaveLength(10);
});

test("requests for a key chunk that never comes back off", async () => {
  const { track } = open("vp8");
  await watch(track, 5_000);
  expect(asked).toBeLessThanOrEqual(4);
  await watch(track, 30_000);
  expect(asked).toBeLessThanOrEqual(9);
});

test("undecodable chunks do not each request a key chunk", async () => {
  const { track } = open("vp8");
  const undecodable = vi.fn();
  track.on("undecodable", undecodable);
  for (let each = 0; each < 200; each++) {
    track.receive({ track: 1, seq: each + 1, ts: each, key: true }, new Uint8Array(1));
    await vi.advanceTimersByTimeAsync(0);
    FakeDecoder.made.at(-1)?.fail("EncodingError");
    await vi.advanceTimersByTimeAsync(50);
  }
  expect(asked).toBeLessThanOrEqual(6);
  expect(undecodable).toHaveBeenCalledTimes(10);
});

test("reclaimed decoder is reopened at a requested key chunk", async () => {
  const { track, errors } = open("vp8");
  const undecodable = vi.fn();
  track.on("undecodable", undecodable);
  await watch(track, 1_000, true);
  const before = asked;
  FakeDecoder.made[0]?.fail("QuotaExceededError");
  await watch(track, 1_000, true);
  expect(asked - before).toBeGreaterThan(0);
  expect(FakeDecoder.made).toHaveLength(2);
  expect(FakeDecoder.made[1]?.decoded.length).toBeGreaterThan(2);
  expect(errors).toEqual([]);
  expect(undecodable).not.toHaveBeenCalled();
});

test("resubscribing keeps the player", async () => {
  const { track } = open("vp8");
  await watch(track, 200, true);
  await track.unsubscribe();
  await track.subscribe();
  await watch(track, 200, true);
  expect(FakeDecoder.made).toHaveLength(1);
});
