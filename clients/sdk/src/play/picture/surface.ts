import { generator, type MediaStreamTrackGenerator } from "../../media/media-stream.js";

/** Outputs of a video track: any number of canvases, and one MediaStream. */
export class Surface {
  readonly #canvases = new Map<HTMLCanvasElement, CanvasRenderingContext2D>();
  #stream: MediaStream | undefined;
  #track: MediaStreamTrackGenerator<VideoFrame> | undefined;
  #writer: WritableStreamDefaultWriter<VideoFrame> | undefined;
  #spare: HTMLCanvasElement | undefined;

  /** Whether there is no output. */
  get empty(): boolean {
    return this.#canvases.size === 0 && this.#stream === undefined;
  }

  /** Adds a canvas. */
  attach(canvas: HTMLCanvasElement): void {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new TypeError("the canvas has a context other than 2d");
    this.#canvases.set(canvas, context);
  }

  /** Removes a canvas. */
  detach(canvas: HTMLCanvasElement): void {
    this.#canvases.delete(canvas);
  }

  /** Returns the stream of this track, which is created on the first call. */
  mediaStream(): MediaStream {
    if (this.#stream) return this.#stream;
    this.#track = generator("video");
    if (this.#track) {
      this.#writer = this.#track.writable.getWriter();
      this.#stream = new MediaStream([this.#track]);
    } else {
      this.#spare = document.createElement("canvas");
      this.attach(this.#spare);
      this.#stream = this.#spare.captureStream();
    }
    return this.#stream;
  }

  /** Draws a frame on every output. */
  draw(picture: VideoFrame | HTMLVideoElement, width: number, height: number): void {
    for (const [canvas, context] of this.#canvases) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      context.drawImage(picture, 0, 0, width, height);
    }
    if (!this.#writer) return;
    const frame = picture instanceof VideoFrame ? picture.clone() : new VideoFrame(picture);
    // A stream that nobody reads any more rejects frames.
    this.#writer.write(frame).catch(() => frame.close());
  }

  /** Removes all outputs. */
  stop(): void {
    this.#writer?.close().catch(() => {});
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#canvases.clear();
  }
}
