import { expect, test } from "vitest";
import { videoSize } from "../../src/capture/presets";
import { candidates, codecFamily, codecString } from "../../src/codecs/families";

test("codec string has profile and level, and maps back to its family", () => {
  const size = { width: 1280, height: 720, frameRate: 30 };
  expect(codecString("vp9", size)).toBe("vp09.00.31.08");
  expect(codecString("h264", size)).toBe("avc1.42E01F");
  expect(codecString("av1", size)).toBe("av01.0.05M.08");
  for (const codec of ["vp8", "vp9", "h264", "av1"] as const)
    expect(codecFamily(codecString(codec, size))).toBe(codec);
  expect(codecFamily("opus")).toBe("opus");
  expect(codecFamily("hvc1.1.6.L93.B0")).toBeUndefined();
});

test("candidates are the common codecs, the best first", () => {
  expect(candidates([], 8)).toEqual(["vp9", "vp8", "h264", "av1"]);
  expect(candidates([["h264", "vp8", "opus"], undefined], 8)).toEqual(["vp8", "h264"]);
  expect(candidates([["h264"], ["vp8"]], 2)[0]).toBe("vp8");
});

test("preset fills in missing values", () => {
  expect(videoSize({}, "360p")).toEqual({ width: 640, height: 360, frameRate: 30, bitrate: 700_000 });
  expect(videoSize({ preset: "720p", frameRate: 10 }, "360p")).toMatchObject({ width: 1280, frameRate: 10 });
});
