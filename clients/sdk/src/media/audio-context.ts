/** What Opus works at, and what every browser can play. */
export const SAMPLE_RATE = 48_000;

let shared: AudioContext | undefined;

/** The one AudioContext of the page's rooms. Browsers allow few, and two have two clocks. */
export function audioContext(): AudioContext {
  shared ??= new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
  return shared;
}

const loaded = new Map<() => void, Promise<void>>();

/**
 * Loads the body of `processor` into the context's audio thread, once. It must use nothing from outside
 * of itself: only its text goes there.
 */
export function loadWorklet(processor: () => void): Promise<void> {
  let loading = loaded.get(processor);
  if (!loading) {
    const url = URL.createObjectURL(new Blob([`(${processor})()`], { type: "text/javascript" }));
    loading = audioContext()
      .audioWorklet.addModule(url)
      .finally(() => URL.revokeObjectURL(url));
    loaded.set(processor, loading);
  }
  return loading;
}
