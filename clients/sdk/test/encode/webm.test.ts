import { expect, test } from "vitest";
import { WebmReader } from "../../src/encode/webm-reader";
import { WebmWriter } from "../../src/play/container/webm-writer";

test("reader reads the writer's stream in pieces of any size", () => {
  const writer = new WebmWriter({ kind: "video", codec: "vp8", width: 640, height: 360 });
  const frames = Array.from({ length: 100 }, (_, index) => ({
    timeMs: index * 400,
    key: index % 30 === 0,
    payload: Uint8Array.from({ length: (index * 37) % 300 }, (__, at) => (index + at) % 256),
  }));
  const stream = [
    writer.header(),
    ...frames.map(({ timeMs, key, payload }) => writer.chunk(timeMs, key, payload)),
  ];
  const bytes = stream.flatMap((piece) => [...piece]);
  for (const size of [1, 7, 64, 5_000]) {
    const reader = new WebmReader();
    const read = [];
    for (let at = 0; at < bytes.length; at += size) {
      read.push(...reader.read(Uint8Array.from(bytes.slice(at, at + size))));
    }
    expect(read).toEqual(frames);
  }
});

test("audio stream has the header of Opus", () => {
  const writer = new WebmWriter({ kind: "audio", codec: "opus", sampleRate: 48_000, channels: 2 });
  expect(writer.type).toBe('audio/webm;codecs="opus"');
  expect(new TextDecoder("latin1").decode(writer.header())).toContain("OpusHead");
});
