import { processor } from "../media/media-stream.js";

/** Handle of a running capture. */
export interface CaptureReader {
  stop(): void;
}

/** Reads the frames of `track`. `deliver` must close each of them. */
export function readFrames(track: MediaStreamTrack, deliver: (frame: VideoFrame) => void): CaptureReader {
  const reader = processor<VideoFrame>(track)?.readable.getReader();
  return reader ? read(reader, deliver) : watch(track, deliver);
}

/** Reads from `reader` until it ends or is stopped. */
export function read<T>(reader: ReadableStreamDefaultReader<T>, deliver: (data: T) => void): CaptureReader {
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

/** Reads frames through a `<video>`, for browsers without MediaStreamTrackProcessor. */
function watch(track: MediaStreamTrack, deliver: (frame: VideoFrame) => void): CaptureReader {
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
  // Playback starts with the first frame.
  video.play().catch(() => {});
  return {
    stop() {
      video.cancelVideoFrameCallback(handle);
      video.srcObject = null;
    },
  };
}
