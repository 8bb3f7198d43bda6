import { expect, test } from "vitest";
import { CaptureClock } from "../../src/capture/capture-clock";

test("timestamps are free of delivery jitter", () => {
  const clock = new CaptureClock();
  const late = [0, 30, 5, 80, 0, 12];
  late.forEach((delay, index) => {
    clock.observe(index * 33_000, 1_000 + index * 33 + delay);
  });
  expect(clock.at(6 * 33_000)).toBeCloseTo(1_000 + 6 * 33, 6);
});

test("timestamps do not decrease when the source's clock jumps back", () => {
  const clock = new CaptureClock();
  clock.observe(500_000, 1_000);
  const before = clock.at(500_000);
  clock.observe(0, 1_033);
  expect(clock.at(0)).toBeGreaterThanOrEqual(before);
});
