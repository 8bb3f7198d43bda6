import { setTimeout as pause } from "node:timers/promises";

const INTERVAL_MS = 10;

/** Default deadline for waits whose duration is not under test: a busy machine must not fail them. */
const PATIENCE_MS = 60_000;

/**
 * Polls until `condition` returns something truthy, and returns that. Only for conditions of other processes
 * without a signal to await.
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

/** Rejects if `promise` takes longer than `timeoutMs`. */
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
