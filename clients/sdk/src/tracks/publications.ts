import { captureCamera, captureMicrophone, captureScreen } from "../capture/devices.js";
import type { AudioOptions, MicrophoneOptions, VideoOptions } from "../capture/presets.js";
import type { Connection } from "../connection/connection.js";
import { asWeirError, closedError, WeirError } from "../errors.js";
import type { TrackDescription } from "../protocol.js";
import { describe } from "./describe.js";
import { LocalTrack, type LocalTrackHost } from "./local-track.js";
import type { Capture } from "./track-source.js";

/** Room services that publications need. */
interface PublicationsHost extends LocalTrackHost {
  /** Returns the connection to publish over. Throws `disconnected` or `closed` if there is none. */
  ready(): Connection;
  /** Signal that aborts when the room is closed. */
  readonly closed: AbortSignal;
  published(track: LocalTrack): void;
}

/** Tracks that this client publishes in a room. */
export class Publications {
  readonly tracks = new Set<LocalTrack>();
  readonly #host: PublicationsHost;

  constructor(host: PublicationsHost) {
    this.#host = host;
  }

  /** Captures and publishes a camera. */
  camera(options: VideoOptions & { deviceId?: string }): Promise<LocalTrack> {
    const again = (deviceId: string | undefined) =>
      captureCamera({ ...options, ...(deviceId === undefined ? {} : { deviceId }) });
    return this.#capture("camera", options, again, options.deviceId);
  }

  /** Captures and publishes a microphone. */
  microphone(options: MicrophoneOptions): Promise<LocalTrack> {
    const { processing = true } = options;
    const again = (deviceId: string | undefined) =>
      captureMicrophone({ processing, ...(deviceId === undefined ? {} : { deviceId }) });
    return this.#capture("microphone", options, again, options.deviceId);
  }

  /** Captures and publishes a screen, with its audio if requested. */
  async screen(options: VideoOptions & { audio?: boolean }): Promise<LocalTrack[]> {
    this.#host.ready();
    const stop = (late: MediaStreamTrack[]) => {
      for (const track of late) track.stop();
    };
    const captured = await this.#whileOpen(captureScreen(options), stop);
    // A new capture would need the user's consent, but this one ends with its track.
    const again = () =>
      Promise.reject(new WeirError("not_supported", "a screen cannot be captured again; share it anew"));
    const tracks: LocalTrack[] = [];
    for (const track of captured) {
      const source = track.kind === "video" ? "screen" : "screen-audio";
      tracks.push(await this.track({ track, again }, { ...options, source }));
    }
    return tracks;
  }

  /** Publishes captured media. */
  track(
    capture: Capture,
    options: VideoOptions & AudioOptions & { source?: string; name?: string },
  ): Promise<LocalTrack> {
    const { description, encoding } = describe(capture.track, options);
    return this.#announce(new LocalTrack(description, this.#host, capture, encoding));
  }

  /** Publishes a track of raw chunks. */
  chunks(description: TrackDescription): Promise<LocalTrack> {
    return this.#announce(new LocalTrack(description, this.#host));
  }

  /** Suspends sending while there is no connection, until {@link restore}. */
  suspend(): void {
    for (const track of this.tracks) track.suspend();
  }

  /** Republishes every track over a new connection. */
  restore(connection: Connection): void {
    for (const track of [...this.tracks]) {
      track.publish(connection).catch((error) => {
        if (!connection.ended) this.#host.failed(asWeirError(error));
      });
    }
  }

  /** Forwards a request for a key chunk to the track. */
  requestKey(id: number): void {
    for (const track of this.tracks) if (track.id === id) track.requestKey();
  }

  /** Switches tracks to codecs that all present members decode. */
  adapt(): void {
    for (const track of this.tracks) track.adapt().catch((error) => this.#host.failed(asWeirError(error)));
  }

  /** Stops every track without notifying the node. */
  clear(): void {
    for (const track of [...this.tracks]) {
      track.stop();
      this.#host.unpublished(track);
    }
  }

  async #capture(
    source: "camera" | "microphone",
    options: VideoOptions & AudioOptions,
    again: (deviceId: string | undefined) => Promise<MediaStreamTrack>,
    deviceId: string | undefined,
  ): Promise<LocalTrack> {
    this.#host.ready();
    const track = await this.#whileOpen(again(deviceId), (late) => late.stop());
    return this.track({ track, again }, { ...options, source });
  }

  /**
   * Awaits a step that may wait minutes for the user. Rejects when the room is closed, and calls `discard`
   * with a late result.
   */
  #whileOpen<T>(step: Promise<T>, discard: (late: T) => void): Promise<T> {
    const { closed } = this.#host;
    return new Promise((resolve, reject) => {
      const end = () => {
        reject(closedError());
        step.then(discard, () => {});
      };
      closed.addEventListener("abort", end);
      step.then(resolve, reject).finally(() => closed.removeEventListener("abort", end));
    });
  }

  async #announce(track: LocalTrack): Promise<LocalTrack> {
    try {
      await track.publish(this.#host.ready());
    } catch (error) {
      track.stop();
      throw asWeirError(error);
    }
    this.tracks.add(track);
    this.#host.published(track);
    // A member may have joined during the announcement.
    this.adapt();
    return track;
  }
}
