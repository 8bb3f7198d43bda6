import type { PlayerHost } from "../player.js";
import type { Lane } from "../timeline.js";
import type { Surface } from "./surface.js";

/** Maximum decoded frames that are held. Decoders have few; beyond the limit the oldest is shown early. */
const MAX_FRAMES = 8;
/** Time from drawing to the next refresh of the screen. */
const REFRESH_MS = 16;

/** Queue of decoded frames. Shows each frame when it is due, and drops frames that a newer one overtakes. */
export class Presenter {
  readonly #surface: Surface;
  readonly #lane: Lane;
  readonly #host: PlayerHost;
  #frames: VideoFrame[] = [];
  #cancel: (() => void) | undefined;

  constructor(surface: Surface, lane: Lane, host: PlayerHost) {
    this.#surface = surface;
    this.#lane = lane;
    this.#host = host;
  }

  /** Time until the newest frame is due, in milliseconds. */
  get bufferMs(): number {
    const newest = this.#frames.at(-1);
    return newest ? Math.max(0, this.#due(newest) - performance.now()) : 0;
  }

  /** Adds a frame, which the presenter closes. */
  add(frame: VideoFrame): void {
    this.#frames.push(frame);
    if (this.#frames.length > MAX_FRAMES) this.#show();
    this.#schedule();
  }

  /** Closes all frames. */
  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const frame of this.#frames) frame.close();
    this.#frames = [];
  }

  /** Returns when a frame is due: at once, before delays are known. */
  #due(frame: VideoFrame): number {
    const { delay } = this.#lane;
    return delay === undefined ? Number.NEGATIVE_INFINITY : frame.timestamp / 1_000 + delay;
  }

  #schedule(): void {
    const [next] = this.#frames;
    if (!next || (this.#cancel && !document.hidden)) return;
    this.#cancel?.();
    // A hidden page has no animation frames.
    if (document.hidden) {
      const timer = setTimeout(() => this.#present(), Math.max(0, this.#due(next) - performance.now()));
      this.#cancel = () => clearTimeout(timer);
    } else {
      const handle = requestAnimationFrame(() => this.#present());
      this.#cancel = () => cancelAnimationFrame(handle);
    }
  }

  #present(): void {
    this.#cancel = undefined;
    const until = performance.now() + REFRESH_MS;
    let due = 0;
    while (due < this.#frames.length && this.#due(this.#frames[due] as VideoFrame) <= until) due += 1;
    if (due > 0) {
      this.#drop(due - 1);
      this.#show();
    }
    this.#schedule();
  }

  /** Shows the oldest frame. */
  #show(): void {
    const frame = this.#frames.shift();
    if (!frame) return;
    this.#surface.draw(frame, frame.displayWidth, frame.displayHeight);
    this.#host.shown(frame.timestamp, frame.displayWidth, frame.displayHeight);
    frame.close();
  }

  #drop(count: number): void {
    for (const frame of this.#frames.splice(0, count)) frame.close();
    if (count > 0) this.#host.dropped(count);
  }
}
