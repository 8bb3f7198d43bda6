import { expect, test } from "vitest";
import { aesGcm, generateKey, importKey } from "../../src/transform/aes-gcm";
import { Sequencer } from "../../src/transform/sequencer";
import type { ChunkInfo } from "../../src/transform/transform";

const info = (changes: Partial<ChunkInfo> = {}): ChunkInfo => ({
  track: 1,
  kind: "video",
  codec: "vp8",
  ts: 1_000,
  key: true,
  ...changes,
});
const payload = new TextEncoder().encode("a picture");

test("same key decrypts, whatever the track's id", async () => {
  const transform = aesGcm(await importKey(await generateKey()));
  const sealed = await transform.encode(payload, info());
  expect(sealed).not.toEqual(payload);
  expect(await transform.decode(sealed, info({ track: 7 }))).toEqual(payload);
  expect(await transform.encode(payload, info())).not.toEqual(sealed);
});

test("another key, another timestamp, a changed byte and plain chunks are refused", async () => {
  const [transform, other] = [
    aesGcm(await importKey(await generateKey())),
    aesGcm(await importKey(await generateKey())),
  ];
  const sealed = await transform.encode(payload, info());
  await expect(other.decode(sealed, info())).rejects.toThrow();
  await expect(transform.decode(sealed, info({ ts: 1_001 }))).rejects.toThrow();
  await expect(transform.decode(sealed, info({ key: false }))).rejects.toThrow();
  await expect(
    transform.decode(
      Uint8Array.from(sealed, (byte, at) => byte ^ Number(at === 20)),
      info(),
    ),
  ).rejects.toThrow();
  await expect(transform.decode(payload, info())).rejects.toThrow("not encrypted");
});

test("invalid key text is refused", async () => {
  await expect(importKey("short")).rejects.toThrow(TypeError);
});

test("results and errors keep the order of their steps", async () => {
  const sequencer = new Sequencer();
  const seen: string[] = [];
  const later: (() => void)[] = [];
  const step = (name: string, step: () => Uint8Array | Promise<Uint8Array>) =>
    sequencer.run(
      step,
      () => seen.push(name),
      () => seen.push(`${name} failed`),
    );
  step("at once", () => payload);
  expect(seen).toEqual(["at once"]);
  step("slow", () => new Promise((resolve) => later.push(() => resolve(payload))));
  step("quick", () => payload);
  step("broken", () => {
    throw new Error("broken");
  });
  expect(seen).toEqual(["at once"]);
  for (const each of later) each();
  await expect.poll(() => seen).toEqual(["at once", "slow", "quick", "broken failed"]);
  step("at once again", () => payload);
  expect(seen.at(-1)).toBe("at once again");
});
