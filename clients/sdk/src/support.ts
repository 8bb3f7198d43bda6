import { recorderType } from "./encode/recorder.js";

/** What this browser can do here. */
export interface Support {
  /** Whether pictures and sound go through WebCodecs; otherwise through MediaRecorder and Media Source Extensions. */
  webCodecs: boolean;
  publishVideo: boolean;
  publishAudio: boolean;
  playVideo: boolean;
  playAudio: boolean;
  screen: boolean;
  /** Whether pages may use cameras and microphones at all: over https and on localhost. */
  capture: boolean;
  speakerChoice: boolean;
}

export function support(): Support {
  const codecs = (...names: string[]) => names.every((name) => name in globalThis);
  const capture = globalThis.navigator?.mediaDevices !== undefined;
  const source = codecs("MediaSource");
  return {
    webCodecs: codecs("VideoEncoder", "VideoDecoder", "AudioEncoder", "AudioDecoder"),
    publishVideo: codecs("VideoEncoder") || recorderType("video") !== undefined,
    publishAudio: codecs("AudioEncoder") || recorderType("audio") !== undefined,
    playVideo: codecs("VideoDecoder") || source,
    playAudio: codecs("AudioDecoder", "AudioWorkletNode") || source,
    screen: capture && "getDisplayMedia" in navigator.mediaDevices,
    capture,
    speakerChoice: "AudioContext" in globalThis && "setSinkId" in AudioContext.prototype,
  };
}
