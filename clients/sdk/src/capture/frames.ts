import { processor } from "../media/media-stream.js";

/** Takes pictures out of a track until it is stopped. Whoever is given a frame closes it. */
export interface FrameSource {
  stop(): void;
}

/** Gives each picture of `track` to `deliver`. */
export function readFrames(track: MediaStreamTrack, deliver: (frame: VideoFrame) => void): FrameSource {
  const reader = processor<VideoFrame>(track)?.readable.getReader();
  return reader ? read(reader, deliver) : watch(track, deliver);
}

/** Gives what `reader` reads to `deliver`, until stopped or at its end. */
export function read<T>(reader: ReadableStreamDefaultReader<T>, deliver: (data: T) => void): FrameSource {
  const loop = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      deliver(value);
    }
  };
  loop().catch(() => {});
  return { stop: () => void reader.cancel().catch(() => {}) };
}

/** For browsers without MediaStreamTrackProcessor: what a `<video>` shows, as it shows it. */
function watch(track: MediaStreamTrack, deliver: (frame: VideoFrame) => void): FrameSource {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = new MediaStream([track]);
  let handle = 0;
  const next = (_: number, { mediaTime }: VideoFrameCallbackMetadata) => {
    deliver(new VideoFrame(video, { timestamp: Math.round(mediaTime * 1_000_000) }));
    handle = video.requestVideoFrameCallback(next);
  };
  handle = video.requestVideoFrameCallback(next);
  // It plays as soon as there are pictures; a pause by the browser ends with the next call.
  video.play().catch(() => {});
  return {
    stop() {
      video.cancelVideoFrameCallback(handle);
      video.srcObject = null;
    },
  };
}
