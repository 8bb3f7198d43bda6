import { openPage, startBrowser } from "./browser.mjs";
import { numberedVideo, toneSound } from "../media/media-files.mjs";
import { RATE } from "./pages/frame-number.js";

/** Starts a browser with a known picture and sound as camera and microphone. */
export async function startKnownBrowser(t) {
  return startBrowser(t, { video: await numberedVideo(), sound: await toneSound() });
}

/** Opens a page with the SDK and `Participant`. */
export async function openParticipant(t, browser, pages, options) {
  const page = await openPage(t, browser, `${pages}/sdk.html`, options);
  await page.waitForFunction(() => window.ready);
  return page;
}

/**
 * Makes the page join `room`, or a new one, and publish according to `publish`. Resolves with the room's id. The
 * participant is `window.participant` in the page.
 */
export function enter(page, { url, room, name, options = {}, publish = {} }) {
  return page.evaluate(
    async ({ url, room, name, options, publish }) => {
      window.participant = await Participant.connect(url, options);
      const id = await participant.join(room, name);
      if (publish) await participant.publish(publish);
      return id;
    },
    { url, room, name, options, publish },
  );
}

export function report(page) {
  return page.evaluate(() => window.participant.report());
}

/** Returns the latency of each seen picture from its capture, in milliseconds. */
export function latencies(seen, camera) {
  const captured = new Map();
  for (const [number, at] of camera) {
    if (!captured.has(number)) captured.set(number, []);
    captured.get(number).push(at);
  }
  return seen.flatMap(([number, at]) => {
    const before = captured.get(number)?.filter((each) => each <= at).at(-1);
    return before === undefined ? [] : [{ at, ms: at - before }];
  });
}

/** Returns the latency of each beginning of the tone, in milliseconds. */
export function soundLatencies(heard, spoken) {
  return heard.flatMap((at) => {
    const before = spoken.filter((each) => each <= at).at(-1);
    return before === undefined ? [] : [{ at, ms: at - before }];
  });
}

/** Returns the quantile `part` of `values`. */
export function quantile(values, part) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/** Returns the frame rate of a camera. */
export { RATE };
