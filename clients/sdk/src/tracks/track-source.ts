/** Captures the same device again, or another one of its kind. */
type Recapture = (deviceId: string | undefined) => Promise<MediaStreamTrack>;

/** Captured media of a local track. */
export interface Capture {
  track: MediaStreamTrack;
  /** Set for captures by the SDK, which then also owns the track and stops it. */
  again?: Recapture;
}

/** Local track that uses a {@link TrackSource}. */
interface TrackSourceHost {
  /** The source has been replaced by `track`. */
  replaced(track: MediaStreamTrack): void;
  /** The source has ended by itself, such as a screen that is no longer shared. */
  ended(): void;
}

/** Source of a local track. The SDK recaptures and stops only what it captured itself. */
export class TrackSource {
  readonly #host: TrackSourceHost;
  #capture: Capture;
  #deviceId: string | undefined;
  #enabled = true;
  #closed = false;

  constructor(capture: Capture, host: TrackSourceHost) {
    this.#capture = capture;
    this.#host = host;
    this.#watch();
  }

  /** Captured track. */
  get track(): MediaStreamTrack {
    return this.#capture.track;
  }

  /** Whether the SDK captured the source, and can capture it again. */
  get owned(): boolean {
    return this.#capture.again !== undefined;
  }

  /** Disables the source. With `release`, an owned device is switched off. */
  disable(release: boolean): void {
    this.#enabled = false;
    this.#capture.track.enabled = false;
    if (release) this.#release();
  }

  /** Enables the source. An owned device that is switched off is captured again. */
  async enable(): Promise<void> {
    if (this.owned && this.#capture.track.readyState === "ended") await this.#recapture();
    this.#enabled = true;
    this.#capture.track.enabled = true;
  }

  /** Selects another device; `now` captures it at once, otherwise {@link enable} does. */
  async select(deviceId: string, now: boolean): Promise<void> {
    this.#deviceId = deviceId;
    if (now) await this.#recapture();
  }

  /** Replaces the source. */
  replace(capture: Capture): void {
    if (this.#closed) {
      if (capture.again) capture.track.stop();
      return;
    }
    if (this.#capture.track !== capture.track) this.#release();
    this.#capture = capture;
    capture.track.enabled = this.#enabled;
    this.#watch();
    this.#host.replaced(capture.track);
  }

  /** Closes the source permanently. */
  close(): void {
    this.#closed = true;
    this.#release();
  }

  async #recapture(): Promise<void> {
    const { again } = this.#capture;
    if (!again) return;
    // Many cameras can be opened only once.
    this.#release();
    this.replace({ track: await again(this.#deviceId), again });
  }

  #release(): void {
    if (this.owned) this.#capture.track.stop();
  }

  #watch(): void {
    const { track } = this.#capture;
    track.addEventListener("ended", () => {
      if (this.#capture.track === track && !this.#closed) this.#host.ended();
    });
  }
}
