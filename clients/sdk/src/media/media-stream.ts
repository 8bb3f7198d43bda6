/** What some browsers have on the window and TypeScript's library does not know. */
export interface MediaStreamTrackProcessor<T> {
  readonly readable: ReadableStream<T>;
}

export interface MediaStreamTrackGenerator<T> extends MediaStreamTrack {
  readonly writable: WritableStream<T>;
}

interface Window {
  MediaStreamTrackProcessor?: new <T>(init: {
    track: MediaStreamTrack;
    maxBufferSize?: number;
  }) => MediaStreamTrackProcessor<T>;
  MediaStreamTrackGenerator?: new <T>(init: { kind: "audio" | "video" }) => MediaStreamTrackGenerator<T>;
}

const browser = globalThis as Window;

/** Reads `track` frame by frame, where the browser can. */
export function processor<T>(track: MediaStreamTrack): MediaStreamTrackProcessor<T> | undefined {
  const { MediaStreamTrackProcessor } = browser;
  return MediaStreamTrackProcessor && new MediaStreamTrackProcessor<T>({ track });
}

/** A track of frames that are written to it, where the browser can. */
export function generator(kind: "video"): MediaStreamTrackGenerator<VideoFrame> | undefined {
  const { MediaStreamTrackGenerator } = browser;
  return MediaStreamTrackGenerator && new MediaStreamTrackGenerator<VideoFrame>({ kind });
}
