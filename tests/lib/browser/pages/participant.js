import * as sdk from "@weir/sdk";
import { countPictures, listenToMicrophone, listenToNode, now, watchCamera, watchCanvas } from "/measure.js";

/** Member for tests: publishes, plays everything, and records what is seen and heard. */
export class Participant {
  room;
  /** Pictures of each member by name, as `[number, ms]`, across reconnections. */
  seen = {};
  /** Number of different pictures without numbers, by the member's name. */
  shown = {};
  /** Tones heard of each member, by name. */
  tones = {};
  /** Time from the call of `join` until the first picture, by the member's name, in milliseconds. */
  firstFrameMs = {};
  /** Events as `[what, …]`, in order. */
  events = [];
  /** Pictures and tones of the own camera and microphone. */
  camera;
  tone;
  #canvases = new Map();
  #joinedAt = 0;

  /** `url` is a node's; `options.key` comes from `generateKey`. */
  static async connect(url, { key, ...options } = {}) {
    const participant = new Participant();
    const transform = key && sdk.aesGcm(await sdk.importKey(key));
    participant.room = await sdk.connect(url, { ...options, ...(transform && { transform }) });
    participant.#listen();
    return participant;
  }

  /** Joins `room`, or a new one by default. Returns its id. */
  async join(room, name) {
    const id = room ?? (await this.room.create()).id;
    this.#joinedAt = performance.now();
    await this.room.join(id, { name });
    return id;
  }

  async publish({ camera = {}, microphone = { processing: false } } = {}) {
    if (camera) {
      const track = await this.room.publishCamera(camera);
      this.camera = watchCamera(track.mediaStreamTrack);
    }
    if (microphone) {
      const track = await this.room.publishMicrophone(microphone);
      this.tone = listenToMicrophone(track.mediaStreamTrack);
    }
  }

  #listen() {
    const { room, events } = this;
    room.on("state", (state, error) => events.push(["state", state, error?.code, now()]));
    room.on("error", (error) => events.push(["error", error.code, error.message]));
    room.on("member:joined", ({ name }) => events.push(["member:joined", name]));
    room.on("member:left", ({ name }, reason) => events.push(["member:left", name, reason]));
    room.on("track:published", (track) => this.#show(track));
    room.on("track:unpublished", (track) => {
      this.#canvases.get(track.id)?.remove();
      this.#canvases.delete(track.id);
    });
  }

  async #show(track) {
    const { name } = track.member;
    track.on("error", (error) => this.events.push(["track", track.kind, error.code, error.message]));
    track.on("undecodable", () => this.events.push(["undecodable", track.kind, name]));
    track.on("gap", (gap) => this.events.push(["gap", track.kind, name, gap]));
    if (track.kind === "video") {
      const canvas = document.createElement("canvas");
      canvas.getContext("2d", { alpha: false, willReadFrequently: true });
      document.getElementById("pictures").append(canvas);
      this.#canvases.set(track.id, canvas);
      this.seen[name] ??= [];
      track.once("firstframe", () => {
        this.firstFrameMs[name] ??= performance.now() - this.#joinedAt;
      });
      track.attach(canvas);
      watchCanvas(canvas, this.seen[name]);
      // Container chunks come from another program, whose pictures have no numbers.
      if (!track.codec.includes("/")) return;
      countPictures(canvas, () => {
        this.shown[name] = (this.shown[name] ?? 0) + 1;
      });
    } else if (track.kind === "audio" && track.audioNode) {
      this.tones[name] = await listenToNode(track.audioNode);
    } else if (track.kind === "audio") {
      // An element plays it: listens to that.
      await new Promise((resolve) => track.once("firstframe", resolve));
      const source = new AudioContext().createMediaStreamSource(track.mediaStream());
      this.tones[name] = await listenToNode(source);
    }
  }

  /** Returns all records. */
  report() {
    const { seen, camera, firstFrameMs, events } = this;
    const heard = ({ onsets, frequencies }) => ({ onsets, frequencies });
    return {
      seen,
      camera,
      firstFrameMs,
      events,
      tone: this.tone && heard(this.tone),
      tones: Object.fromEntries(Object.entries(this.tones).map(([name, tone]) => [name, heard(tone)])),
      sent: [...this.room.published].map((track) => ({ kind: track.kind, ...track.stats() })),
      received: [...this.room.tracks.values()].map((track) => ({
        kind: track.kind,
        member: track.member.name,
        ...track.stats(),
      })),
    };
  }
}
