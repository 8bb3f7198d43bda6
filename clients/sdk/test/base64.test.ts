import { expect, test } from "vitest";
import { fromBase64, toBase64 } from "../src/base64";

test("matches the vectors of RFC 4648, section 10", () => {
  const vectors = { "": "", f: "Zg==", fo: "Zm8=", foo: "Zm9v", foob: "Zm9vYg==", foobar: "Zm9vYmFy" };
  for (const [plain, encoded] of Object.entries(vectors)) {
    const bytes = new TextEncoder().encode(plain);
    expect(toBase64(bytes)).toBe(encoded);
    expect(fromBase64(encoded)).toEqual(bytes);
  }
});

test("round trip preserves bytes of any value and number", () => {
  for (const length of [1, 255, 8_191, 8_192, 8_193, 65_536]) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 31) & 255);
    expect(fromBase64(toBase64(bytes))).toEqual(bytes);
  }
});
