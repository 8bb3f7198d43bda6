import { setTimeout as pause } from "node:timers/promises";

const INTERVAL_MS = 10;

/** How long what must happen may take where its time is not what is tested: a slow and busy machine is no fault. */
const PATIENCE_MS = 60_000;

/**
 * Waits until `condition` returns something truthy, and returns that. The one place that polls:
 * for what crosses processes and has no signal to await.
 */
export async function eventually(what, condition, timeoutMs = PATIENCE_MS) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`after ${timeoutMs} ms still not: ${what}`);
    await pause(INTERVAL_MS);
  }
}

/** Rejects when `promise` takes longer than `timeoutMs`. */
export async function within(what, promise, timeoutMs = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${timeoutMs} ms still not: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
