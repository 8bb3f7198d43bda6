import { openPage, startBrowser } from "./browser.mjs";
import { numberedVideo, toneSound } from "../media/media-files.mjs";
import { RATE } from "./pages/frame-number.js";

/** A browser whose camera and microphone are exactly known. */
export async function startKnownBrowser(t) {
  return startBrowser(t, { video: await numberedVideo(), sound: await toneSound() });
}

/** Opens a page of the SDK, with `Participant` in it. */
export async function openParticipant(t, browser, pages, options) {
  const page = await openPage(t, browser, `${pages}/sdk.html`, options);
  await page.waitForFunction(() => window.ready);
  return page;
}

/**
 * Has the page join `room`, or a new one, and publish what `publish` says; resolves with the room's id. From then on
 * it is `window.participant` there.
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

/** For each picture that was seen, how long ago it had been captured, in milliseconds. */
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

/** The same of the tone's beginnings. */
export function soundLatencies(heard, spoken) {
  return heard.flatMap((at) => {
    const before = spoken.filter((each) => each <= at).at(-1);
    return before === undefined ? [] : [{ at, ms: at - before }];
  });
}

/** The value that the share `part` of `values` does not exceed. */
export function quantile(values, part) {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/** How many pictures a second a camera delivers. */
export { RATE };
