import { WeirError } from "../errors.js";
import { audioContext } from "../media/audio-context.js";

/** So long after it was asked to, a context that may run does. */
const PATIENCE_MS = 500;

/** Whether the page's sound is heard: browsers keep it back until the user has done something. */
export class Sound {
  readonly #told: (blocked: boolean) => void;
  #blocked = false;
  #askedAt: number | undefined;

  constructor(told: (blocked: boolean) => void) {
    this.#told = told;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  /** Something could not be heard. */
  unheard(): void {
    const context = audioContext();
    const now = performance.now();
    if (this.#askedAt === undefined) {
      this.#askedAt = now;
      context.addEventListener("statechange", this.#changed);
      // It stays pending for as long as the browser does not allow it.
      context.resume().catch(() => {});
    } else if (!this.#blocked && now - this.#askedAt > PATIENCE_MS) {
      this.#tell(true);
    }
  }

  async start(): Promise<void> {
    await audioContext().resume();
    this.#changed();
  }

  /** Has it come out of another device. */
  async use(deviceId: string): Promise<void> {
    const context = audioContext() as AudioContext & { setSinkId?: (deviceId: string) => Promise<void> };
    if (!context.setSinkId)
      throw new WeirError("not_supported", "this browser plays on its default device only");
    try {
      await context.setSinkId(deviceId);
    } catch (cause) {
      throw new WeirError("device_not_found", `there is no such speaker: ${cause}`, { cause });
    }
  }

  stop(): void {
    if (this.#askedAt !== undefined) audioContext().removeEventListener("statechange", this.#changed);
  }

  readonly #changed = () => {
    if (audioContext().state !== "running") return;
    this.#askedAt = undefined;
    if (this.#blocked) this.#tell(false);
  };

  #tell(blocked: boolean): void {
    this.#blocked = blocked;
    this.#told(blocked);
  }
}
