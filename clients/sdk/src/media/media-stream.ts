/** Reader of a track's frames, which TypeScript's library does not declare. */
interface MediaStreamTrackProcessor<T> {
  readonly readable: ReadableStream<T>;
}

/** Track of frames that the page writes. */
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

/** Creates a reader of `track`; `undefined` in browsers without MediaStreamTrackProcessor. */
export function processor<T>(track: MediaStreamTrack): MediaStreamTrackProcessor<T> | undefined {
  const { MediaStreamTrackProcessor } = browser;
  return MediaStreamTrackProcessor && new MediaStreamTrackProcessor<T>({ track });
}

/** Creates a track that frames are written to; `undefined` in browsers without MediaStreamTrackGenerator. */
export function generator(kind: "video"): MediaStreamTrackGenerator<VideoFrame> | undefined {
  const { MediaStreamTrackGenerator } = browser;
  return MediaStreamTrackGenerator && new MediaStreamTrackGenerator<VideoFrame>({ kind });
}
