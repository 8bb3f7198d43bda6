import { expect, test } from "vitest";
import { BitrateControl } from "../../src/encode/bitrate";

test("bitrate falls under congestion and recovers slowly", () => {
  const control = new BitrateControl(1_000_000);
  expect(control.exceeds(10_000)).toBe(false);
  for (let second = 1; second <= 5; second++) {
    expect(control.exceeds(500_000)).toBe(true);
    control.step(second * 1_000);
  }
  const least = control.target;
  expect(least).toBeLessThan(200_000);
  expect(control.scale).toBe(0.5);
  for (let second = 6; second <= 60; second++) control.step(second * 1_000);
  expect(control.target).toBe(1_000_000);
  expect(control.scale).toBe(1);
});

test("frame size follows the bitrate without oscillation", () => {
  const control = new BitrateControl(1_000_000);
  const changes = [];
  let before = control.scale;
  for (let second = 1; second <= 60; second++) {
    // A network with a third of the capacity.
    if (control.target > 333_000) control.exceeds(500_000);
    control.step(second * 1_000);
    if (control.scale !== before) changes.push(control.scale);
    before = control.scale;
  }
  expect(changes).toEqual([0.5]);
});
