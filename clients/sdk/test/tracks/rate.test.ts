import { expect, test } from "vitest";
import { Rate } from "../../src/tracks/rate";

test("rate covers the last two seconds", () => {
  const rate = new Rate();
  for (let ms = 0; ms < 10_000; ms += 10) rate.add(1, ms);
  expect(rate.perSecond(10_000)).toBeCloseTo(100, -1);
  expect(rate.perSecond(13_000)).toBe(0);
});
