import { expect, test } from "vitest";
import { KeySchedule } from "../../src/encode/key-schedule";

test("key chunks are at most four seconds apart, and requests share one", () => {
  const keys = new KeySchedule();
  const made: number[] = [];
  for (let ms = 0; ms <= 10_000; ms += 33) {
    if (ms === 990) {
      keys.request();
      keys.request();
    }
    if (ms === 1_056) keys.request();
    if (keys.due(ms)) made.push(ms);
  }
  expect(made.slice(0, 3)).toEqual([0, 990, 1_254]);
  for (const [index, ms] of made.entries())
    expect((made[index + 1] ?? 10_000) - ms).toBeLessThanOrEqual(4_033);
});
