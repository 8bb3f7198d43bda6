import { expect, test } from "vitest";
import { KeyBackoff } from "../../src/tracks/key-backoff";

/** Returns the times of requests if one is wanted every 10 ms. */
function asks(keys: KeyBackoff, fromMs: number, untilMs: number, shown: (ms: number) => boolean): number[] {
  const sent: number[] = [];
  for (let ms = fromMs; ms <= untilMs; ms += 10) {
    if (shown(ms)) keys.shown(ms);
    else if (keys.admits(ms)) sent.push(ms);
  }
  return sent;
}

test("requests without effect back off but never stop", () => {
  const never = () => false;
  expect(asks(new KeyBackoff(), 0, 35_000, never)).toEqual([
    0, 500, 1_500, 3_500, 7_500, 15_500, 23_500, 31_500,
  ]);
});

test("first loss after a recovery is requested at once", () => {
  const keys = new KeyBackoff();
  asks(keys, 0, 8_000, () => false);
  expect(asks(keys, 8_010, 20_000, (ms) => ms < 17_000)).toEqual([17_000, 17_500, 18_500]);
});

test("stream that fails after each key chunk stays in backoff", () => {
  // Each request yields a key chunk whose frame is shown; the chunks after it fail to decode.
  for (const good of [300, 600, 2_000]) {
    const keys = new KeyBackoff();
    let shownUntil = Number.NEGATIVE_INFINITY;
    const sent: number[] = [];
    for (let ms = 0; ms <= 60_000; ms += 10) {
      if (ms < shownUntil) keys.shown(ms);
      else if (keys.admits(ms)) {
        sent.push(ms);
        shownUntil = ms + good;
      }
    }
    expect(sent.length, `${good} ms`).toBeLessThan(13);
  }
});
