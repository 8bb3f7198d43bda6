import { WeirError } from "../errors.js";
import { MediaSourcePlayer } from "../play/container/media-source.js";
import { openPlayer } from "../play/open.js";
import { Surface } from "../play/picture/surface.js";
import type { Chunk, PicturePlayer, PlayerHost, SoundPlayer } from "../play/player.js";
import type { Lane } from "../play/timeline.js";
import type { WireTrack } from "../protocol.js";

/** Maximum chunks that wait for the browser to report whether it decodes them. */
const MAX_EARLY = 64;

/** Track services that a playback needs. */
interface PlaybackHost extends Omit<PlayerHost, "unsupported"> {
  /** Reports that this browser cannot play the track. */
  unplayable(error: WeirError): void;
}

/** Playback of a received track: one player at a time, and the settings that outlive it. */
export class Playback {
  readonly #host: PlaybackHost;
  /** Outputs for video, whichever player decodes it. */
  readonly #surface = new Surface();
  #player: (PicturePlayer | SoundPlayer) | undefined;
  #picture: PicturePlayer | undefined;
  #sound: SoundPlayer | undefined;
  #lane: Lane | undefined;
  #volume = 1;
  /** Number of opened players. Callbacks of earlier ones are ignored. */
  #generation = 0;
  /** Chunks that wait for the browser's answer; `undefined` once it has answered. */
  #early: Chunk[] | undefined;
  #error: WeirError | undefined;

  constructor(host: PlaybackHost) {
    this.#host = host;
  }

  /** Reason why this browser cannot play the track; `undefined` if none is known. */
  get error(): WeirError | undefined {
    return this.#error;
  }

  /** Whether a player was ever opened. */
  get opened(): boolean {
    return this.#generation > 0;
  }

  /** Whether a player is open. The browser may still refuse the track. */
  get open(): boolean {
    return this.#player !== undefined;
  }

  /** Whether a player is open, and the browser has confirmed that it plays the track. */
  get ready(): boolean {
    return this.#player !== undefined && this.#early === undefined;
  }

  /** Audio level, 0 to 1. */
  get level(): number {
    return this.#player?.level ?? 0;
  }

  /** Length of the jitter buffer, in milliseconds. */
  get bufferMs(): number {
    return this.#player?.bufferMs ?? 0;
  }

  /** Network jitter, in milliseconds. */
  get jitterMs(): number {
    return this.#lane?.jitterMs ?? 0;
  }

  get volume(): number {
    return this.#volume;
  }

  set volume(volume: number) {
    this.#volume = Math.min(1, Math.max(0, volume));
    if (this.#sound) this.#sound.volume = this.#volume;
  }

  /** Node whose output goes to the speakers. */
  get audioNode(): AudioNode | undefined {
    return this.#sound?.node;
  }

  /** Draws video on `canvas`. */
  attach(canvas: HTMLCanvasElement): void {
    this.#surface.attach(canvas);
    this.#picture?.begin();
  }

  /** Stops drawing on `canvas`. */
  detach(canvas: HTMLCanvasElement): void {
    this.#surface.detach(canvas);
  }

  /** Returns video as a stream. */
  videoStream(): MediaStream {
    const stream = this.#surface.mediaStream();
    this.#picture?.begin();
    return stream;
  }

  /** Returns audio as a stream; `undefined` if none is played. */
  audioStream(): MediaStream | undefined {
    return this.#sound?.mediaStream();
  }

  /** Opens a player for `wire` that keeps the time of `lane`. */
  start(wire: WireTrack, lane: Lane): void {
    this.#error = undefined;
    const generation = ++this.#generation;
    const refuse = (reason: string) => {
      if (this.#generation === generation) this.#refuse(wire, reason);
    };
    this.#lane = lane;
    const opened = openPlayer(wire, this.#surface, lane, this.#playerHost(refuse));
    if (!opened) {
      // Deferred, so that listeners added on the track's event receive it.
      queueMicrotask(() => refuse("neither WebCodecs nor Media Source Extensions support it"));
      return;
    }
    const { player, supported } = opened;
    this.#player = player;
    this.#early = [];
    if ("begin" in player) this.#picture = player;
    if ("volume" in player) {
      this.#sound = player;
      player.volume = this.#volume;
    }
    void supported.then((can) => {
      if (!can) refuse("its decoders do not support it");
      else if (this.#generation === generation) this.#confirm(player);
    });
  }

  /** Plays a chunk, or queues it until the browser has answered. */
  push(chunk: Chunk): void {
    if (!this.#early) {
      this.#player?.push(chunk);
      return;
    }
    this.#early.push(chunk);
    if (this.#early.length > MAX_EARLY) this.#early.shift();
  }

  /** Marks a gap: the next chunk does not follow the previous one. */
  gap(): void {
    if (this.#early) this.#early = [];
    this.#player?.gap();
  }

  /** Discards the measured delays, which belong to another connection. */
  resetDelays(): void {
    this.#lane?.reset();
  }

  /** Resumes audio that the browser blocked. */
  unblock(): void {
    if (this.#player instanceof MediaSourcePlayer) this.#player.resume();
  }

  /** Closes the player. Another one can be opened afterwards. */
  close(): void {
    this.#generation += 1;
    this.#player?.stop();
    this.#lane?.stop();
    this.#player = undefined;
    this.#picture = undefined;
    this.#sound = undefined;
    this.#early = undefined;
  }

  /** Closes the player and all outputs permanently. */
  stop(): void {
    this.close();
    this.#surface.stop();
  }

  #playerHost(unsupported: (reason: string) => void): PlayerHost {
    const host = this.#host;
    return {
      unsupported,
      needKey: () => host.needKey(),
      undecodable: (chunks) => host.undecodable(chunks),
      shown: (ts, width, height) => host.shown(ts, width, height),
      dropped: (frames) => host.dropped(frames),
      starved: (times) => host.starved(times),
      blocked: () => host.blocked(),
    };
  }

  /** Plays the queued chunks, once the browser has confirmed that it decodes them. */
  #confirm(player: PicturePlayer | SoundPlayer): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const chunk of early) player.push(chunk);
    if (!early.some(({ key }) => key)) this.#host.needKey();
  }

  #refuse({ kind, codec, sampleRate, channels }: WireTrack, reason: string): void {
    const format =
      kind === "audio" ? [sampleRate && `${sampleRate} Hz`, channels && `${channels} channels`] : [];
    const what = [`"${codec}"`, ...format].filter(Boolean).join(", ");
    this.close();
    this.#error = new WeirError("not_supported", `this browser cannot play ${what}: ${reason}`);
    this.#host.unplayable(this.#error);
  }
}
