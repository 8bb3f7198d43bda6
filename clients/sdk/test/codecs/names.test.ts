import { expect, test } from "vitest";
import { normalCodec } from "../../src/codecs/names";
import { member } from "../../src/members/member";
import { wireMember } from "../fakes";

test("codec of any case gets the spelling of browsers", () => {
  for (const [given, spelled] of [
    ["VP8", "vp8"],
    [" vp8 ", "vp8"],
    ["vp08.00.10.08", "vp8"],
    ["Opus", "opus"],
    ["AVC1.42e01f", "avc1.42E01F"],
    ["avc3.42E01F", "avc3.42E01F"],
    ["AV01.0.04m.08", "av01.0.04M.08"],
    ["HVC1.1.6.l93.b0", "hvc1.1.6.L93.B0"],
    ["VP09.00.10.08", "vp09.00.10.08"],
    ["MP4A.40.2", "mp4a.40.2"],
    ["VP9", "vp09.00.10.08"],
    ["H264", "avc1.42E01F"],
    ["av1", "av01.0.04M.08"],
    ["PCM-S16", "pcm-s16"],
    ["of its own", "of its own"],
  ] as const) {
    expect(normalCodec(given), given).toBe(spelled);
  }
});

test("MIME type of any case gets the spelling of browsers", () => {
  for (const [given, spelled] of [
    ['video/WebM;codecs="VP8"', 'video/webm;codecs="vp8"'],
    ["VIDEO/webm; Codecs=VP8,Opus", 'video/webm;codecs="vp8,opus"'],
    ['video/mp4; codecs="AVC1.42e01f, MP4A.40.2"', 'video/mp4;codecs="avc1.42E01F,mp4a.40.2"'],
    ['video/webm;codecs="vp9"', 'video/webm;codecs="vp9"'],
    ["audio/MPEG", "audio/mpeg"],
  ] as const) {
    expect(normalCodec(given), given).toBe(spelled);
  }
});

test("decodable codecs of other clients are case-insensitive", () => {
  const metadata = { weir: { decodes: ["VP8", "Opus", 3] } };
  expect(member({ ...wireMember("ann"), metadata }, "me").decodes).toEqual(["vp8", "opus"]);
});
