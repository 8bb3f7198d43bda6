import { expect, test } from "vitest";
import { Timeline } from "../../src/play/timeline";

test("delay covers nearly all chunks and forgets a stall", () => {
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

test("video follows audio of the same clock only", () => {
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
