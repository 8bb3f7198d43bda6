import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { atEnd } from "../harness/at-end.mjs";

/** Browser under test; `WEIR_CHROMIUM` overrides it. */
const EXECUTABLE = process.env.WEIR_CHROMIUM ?? "/usr/bin/chromium";

const FLAGS = [
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Pages of tests are in the background, and must not be throttled for that.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/**
 * Starts a browser for the test `t`. Its camera and microphone are `video` (y4m) and `sound` (wav), or Chromium's
 * own by default. It has `cameras` cameras. `permitted: false` denies every request for a device.
 */
export async function startBrowser(t, { video, sound, cameras = 1, permitted = true } = {}) {
  const flags = permitted ? FLAGS : FLAGS.filter((flag) => flag !== "--use-fake-ui-for-media-stream");
  const browser = await chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      ...flags,
      `--use-fake-device-for-media-stream=device-count=${cameras}`,
      ...(video ? [`--use-file-for-fake-video-capture=${video}`] : []),
      ...(sound ? [`--use-file-for-fake-audio-capture=${sound}`] : []),
    ],
  });
  atEnd(t, () => browser.close());
  return browser;
}

/**
 * Opens `url` in a context of its own. An error that the page reports fails the test `t` at its end,
 * unless `allowed` returns true for it.
 */
export async function openPage(t, browser, url, { allowed = () => false, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
  atEnd(t, () =>
    assert.deepEqual(
      errors.filter((text) => !allowed(text)),
      [],
      `${url} reports no error`,
    ),
  );
  await page.goto(url);
  return page;
}
