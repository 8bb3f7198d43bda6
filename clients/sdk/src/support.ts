import { recorderType } from "./encode/recorder.js";

/** Capabilities of this browser on this page. */
export interface Support {
  /** Whether media goes through WebCodecs. Otherwise the SDK uses MediaRecorder and Media Source Extensions. */
  webCodecs: boolean;
  publishVideo: boolean;
  publishAudio: boolean;
  playVideo: boolean;
  playAudio: boolean;
  /** Whether {@link Room.publishScreen} works. */
  screen: boolean;
  /** Whether the page may use cameras and microphones: over https and on localhost only. */
  capture: boolean;
  /** Whether {@link Room.setSpeaker} works. */
  speakerChoice: boolean;
}

/** Returns the capabilities of this browser on this page. */
export function support(): Support {
  const has = (...names: string[]) => names.every((name) => name in globalThis);
  const capture = globalThis.navigator?.mediaDevices !== undefined;
  const source = has("MediaSource");
  return {
    webCodecs: has("VideoEncoder", "VideoDecoder", "AudioEncoder", "AudioDecoder"),
    publishVideo: has("VideoEncoder") || recorderType("video") !== undefined,
    publishAudio: has("AudioEncoder") || recorderType("audio") !== undefined,
    playVideo: has("VideoDecoder") || source,
    playAudio: has("AudioDecoder", "AudioWorkletNode") || source,
    screen: capture && "getDisplayMedia" in navigator.mediaDevices,
    capture,
    speakerChoice: "AudioContext" in globalThis && "setSinkId" in AudioContext.prototype,
  };
}
