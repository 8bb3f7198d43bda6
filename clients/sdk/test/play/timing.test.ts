import { expect, test } from "vitest";
import { CaptureClock } from "../../src/capture/capture-clock";
import { BitrateControl } from "../../src/encode/bitrate";
import { KeySchedule } from "../../src/encode/key-schedule";
import { Timeline } from "../../src/play/timeline";
import { Rate } from "../../src/tracks/stats";

test("a rate is what came in the last two seconds", () => {
  const rate = new Rate();
  for (let ms = 0; ms < 10_000; ms += 10) rate.add(1, ms);
  expect(rate.perSecond(10_000)).toBeCloseTo(100, -1);
  expect(rate.perSecond(13_000)).toBe(0);
});

test("a source that delivers late now and then is stamped by when it is not", () => {
  const clock = new CaptureClock();
  const late = [0, 30, 5, 80, 0, 12];
  late.forEach((delay, index) => {
    clock.observe(index * 33_000, 1_000 + index * 33 + delay);
  });
  expect(clock.at(6 * 33_000)).toBeCloseTo(1_000 + 6 * 33, 6);
});

test("a source whose clock jumps back does not take its stamps back", () => {
  const clock = new CaptureClock();
  clock.observe(500_000, 1_000);
  const before = clock.at(500_000);
  clock.observe(0, 1_033);
  expect(clock.at(0)).toBeGreaterThanOrEqual(before);
});

test("key chunks come at least every four seconds, and for all who ask together one", () => {
  const keys = new KeySchedule();
  const made: number[] = [];
  for (let ms = 0; ms <= 10_000; ms += 33) {
    if (ms === 990) {
      keys.request();
      keys.request();
    }
    if (ms === 1_056) keys.request();
    if (keys.take(ms)) made.push(ms);
  }
  expect(made.slice(0, 3)).toEqual([0, 990, 1_254]);
  for (const [index, ms] of made.entries())
    expect((made[index + 1] ?? 10_000) - ms).toBeLessThanOrEqual(4_033);
});

test("the bitrate falls while pictures must be left out, and comes back slowly", () => {
  const control = new BitrateControl(1_000_000);
  expect(control.tooMuch(10_000)).toBe(false);
  for (let second = 1; second <= 5; second++) {
    expect(control.tooMuch(500_000)).toBe(true);
    control.step(second * 1_000);
  }
  const least = control.target;
  expect(least).toBeLessThan(200_000);
  expect(control.scale).toBe(0.5);
  for (let second = 6; second <= 60; second++) control.step(second * 1_000);
  expect(control.target).toBe(1_000_000);
  expect(control.scale).toBe(1);
});

test("a picture shrinks with the bitrate, and not to and fro", () => {
  const control = new BitrateControl(1_000_000);
  const changes = [];
  let before = control.scale;
  for (let second = 1; second <= 60; second++) {
    // A network that takes a third.
    if (control.target > 333_000) control.tooMuch(500_000);
    control.step(second * 1_000);
    if (control.scale !== before) changes.push(control.scale);
    before = control.scale;
  }
  expect(changes).toEqual([0.5]);
});

test("nearly all pictures are there when they are due, and a stall is forgotten", () => {
  const lane = new Timeline().lane("video");
  const jitter = (index: number) => (index * 7) % 20;
  for (let index = 0; index < 300; index++) lane.observe(index * 33_000, 5_000 + index * 33 + jitter(index));
  expect(lane.delay).toBeGreaterThanOrEqual(5_017);
  expect(lane.delay).toBeLessThanOrEqual(5_019);
  for (let index = 300; index < 310; index++) lane.observe(index * 33_000, 5_400 + index * 33);
  for (let index = 310; index < 530; index++)
    lane.observe(index * 33_000, 5_000 + index * 33 + jitter(index));
  expect(lane.delay).toBeLessThanOrEqual(5_019);
});

test("pictures are shown with the sound of the same member, not with that of another clock", () => {
  const timeline = new Timeline();
  const [video, audio] = [timeline.lane("video"), timeline.lane("audio")];
  for (let index = 0; index < 60; index++) {
    video.observe(index * 33_000, 5_000 + index * 33);
    audio.observe(index * 20_000, 5_040 + index * 20);
  }
  expect(audio.delay).toBe(5_040);
  audio.played(5_060);
  expect(video.delay).toBe(5_060);
  audio.played(95_000);
  expect(video.delay).toBe(5_000);
});
