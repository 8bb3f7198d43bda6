import { expect, test } from "vitest";
import { initSegment, needsInit, startsSegment } from "../../src/play/container/segments";
import { WebmWriter } from "../../src/play/container/webm-writer";

const box = (type: string, ...content: number[]) => [
  ...[0, 0, 0, 8 + content.length],
  ...[...type].map((each) => each.charCodeAt(0)),
  ...content,
];
const bytes = (...parts: number[][]) => new Uint8Array(parts.flat());

test("WebM header ends at the first Cluster", () => {
  const writer = new WebmWriter({ kind: "video", codec: "vp8", width: 640, height: 360 });
  const header = writer.header();
  const cluster = writer.chunk(0, true, new Uint8Array([1, 2, 3]));
  expect(initSegment(header)).toEqual(header);
  expect(initSegment(bytes([...header], [...cluster]))).toEqual(header);
  expect(initSegment(cluster)).toBeUndefined();
  expect(startsSegment("audio/webm", cluster)).toBe(true);
  expect(startsSegment("audio/webm", cluster.subarray(3))).toBe(false);
});

test("MP4 header ends at the first media segment", () => {
  const header = [...box("ftyp", 1, 2), ...box("moov", 3)];
  expect(initSegment(bytes(header))).toEqual(bytes(header));
  expect(initSegment(bytes(header, box("moof", 4), box("mdat", 5)))).toEqual(bytes(header));
  expect(initSegment(bytes(box("moof", 4)))).toBeUndefined();
  expect(startsSegment("audio/mp4", bytes(box("styp"), box("moof")))).toBe(true);
  // An invalid size ends the search.
  expect(initSegment(bytes(box("ftyp"), [0, 0, 0, 1, 1, 1, 1, 1]))).toHaveLength(16);
  expect(initSegment(new Uint8Array(0))).toBeUndefined();
});

test("stream without a header starts anywhere", () => {
  expect(needsInit('video/mp4;codecs="avc1.42E01F"')).toBe(true);
  expect(needsInit("audio/mpeg")).toBe(false);
  expect(startsSegment("audio/mpeg", new Uint8Array([1]))).toBe(true);
});
