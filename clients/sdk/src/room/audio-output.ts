import { WeirError } from "../errors.js";
import { audioContext } from "../media/audio-context.js";

/** Time that an allowed context needs to start running. */
const START_MS = 500;

/** Audio output of the page, including whether the browser's autoplay policy blocks it. */
export class AudioOutput {
  readonly #changed: (blocked: boolean) => void;
  #blocked = false;
  /** Time of the pending `resume()` of the context. */
  #resumedAt: number | undefined;

  /** Calls `changed` when the browser blocks or unblocks audio. */
  constructor(changed: (blocked: boolean) => void) {
    this.#changed = changed;
  }

  /** Whether the browser blocks audio until the user interacts with the page. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Records that a sound could not be played, since the context is not running. */
  suppressed(): void {
    const context = audioContext();
    const now = performance.now();
    if (this.#resumedAt === undefined) {
      this.#resumedAt = now;
      context.addEventListener("statechange", this.#stateChanged);
      // The promise stays pending for as long as the browser blocks audio.
      context.resume().catch(() => {});
    } else if (!this.#blocked && now - this.#resumedAt > START_MS) {
      this.#set(true);
    }
  }

  /** Resumes the context; effective from a click handler. */
  async start(): Promise<void> {
    await audioContext().resume();
    this.#stateChanged();
  }

  /** Selects the device to play on. */
  async select(deviceId: string): Promise<void> {
    const context = audioContext() as AudioContext & { setSinkId?: (deviceId: string) => Promise<void> };
    if (!context.setSinkId)
      throw new WeirError("not_supported", "this browser plays on its default device only");
    try {
      await context.setSinkId(deviceId);
    } catch (cause) {
      throw new WeirError("device_not_found", `no such speaker: ${cause}`, { cause });
    }
  }

  /** Stops observing the context. */
  stop(): void {
    if (this.#resumedAt !== undefined) {
      audioContext().removeEventListener("statechange", this.#stateChanged);
    }
  }

  readonly #stateChanged = () => {
    if (audioContext().state !== "running") return;
    this.#resumedAt = undefined;
    if (this.#blocked) this.#set(false);
  };

  #set(blocked: boolean): void {
    this.#blocked = blocked;
    this.#changed(blocked);
  }
}
