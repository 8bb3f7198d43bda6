/** Sample rate of Opus, which every browser can play. */
export const SAMPLE_RATE = 48_000;

let shared: AudioContext | undefined;

/** Returns the AudioContext that all rooms of the page share. Browsers allow few, and each has its own clock. */
export function audioContext(): AudioContext {
  shared ??= new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
  return shared;
}

/** Function or class that is loaded into the audio thread as text. */
type WorkletCode = (abstract new (...args: never) => object) | ((...args: never) => void);

const loaded = new Map<WorkletCode, Promise<void>>();

/**
 * Runs `processor` with `classes` as its arguments in the audio thread, once. Their text alone goes there, so
 * they must not use anything else.
 */
export function loadWorklet(processor: WorkletCode, ...classes: WorkletCode[]): Promise<void> {
  let loading = loaded.get(processor);
  if (!loading) {
    const code = `(${processor})(${classes.map(String).join(", ")})`;
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    loading = audioContext()
      .audioWorklet.addModule(url)
      .finally(() => URL.revokeObjectURL(url));
    loaded.set(processor, loading);
  }
  return loading;
}
