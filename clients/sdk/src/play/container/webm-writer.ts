/** Track of a WebM stream. */
type WebmTrack =
  | { kind: "video"; codec: "vp8" | "vp9"; width: number; height: number }
  | { kind: "audio"; codec: "opus"; sampleRate: number; channels: number };

/** Maximum offset of a block from its Cluster's timestamp: 16 bits of milliseconds (RFC 9559, 10.1), rounded down. */
const CLUSTER_SPAN_MS = 30_000;

/**
 * Streaming muxer for WebM with one track, for Media Source Extensions. It returns whole pieces: the header,
 * then a Cluster for each key chunk, and blocks.
 */
export class WebmWriter {
  readonly #track: WebmTrack;
  #clusterMs: number | undefined;

  constructor(track: WebmTrack) {
    this.#track = track;
  }

  /** MIME type of the stream. */
  get type(): string {
    return `${this.#track.kind}/webm;codecs="${this.#track.codec}"`;
  }

  /** Returns the header of a new or restarted stream. The next chunk opens a Cluster. */
  header(): Uint8Array {
    this.#clusterMs = undefined;
    return join([
      element(0x1a45dfa3, [
        element(0x4286, uint(1)),
        element(0x42f7, uint(1)),
        element(0x42f2, uint(4)),
        element(0x42f3, uint(8)),
        element(0x4282, text("webm")),
        element(0x4287, uint(4)),
        element(0x4285, uint(2)),
      ]),
      open(0x18538067),
      element(0x1549a966, [
        element(0x2ad7b1, uint(1_000_000)),
        element(0x4d80, text("weir")),
        element(0x5741, text("weir")),
      ]),
      element(0x1654ae6b, [element(0xae, this.#entry())]),
    ]);
  }

  /** Returns the block of a chunk at `timeMs`. Times must not decrease. */
  chunk(timeMs: number, key: boolean, payload: Uint8Array): Uint8Array {
    const time = Math.round(timeMs);
    const parts: Uint8Array[] = [];
    const far = this.#clusterMs !== undefined && time - this.#clusterMs >= CLUSTER_SPAN_MS;
    const opens = this.#clusterMs === undefined || far || (key && this.#track.kind === "video");
    if (opens) {
      this.#clusterMs = time;
      parts.push(open(0x1f43b675), element(0xe7, uint(time)));
    }
    const head = new Uint8Array(4);
    new DataView(head.buffer).setInt16(1, time - (this.#clusterMs ?? time));
    head[0] = 0x81;
    head[3] = key ? 0x80 : 0;
    parts.push(element(0xa3, [head, payload]));
    return join(parts);
  }

  #entry(): Uint8Array[] {
    const track = this.#track;
    const common = [element(0xd7, uint(1)), element(0x73c5, uint(1)), element(0x9c, uint(0))];
    if (track.kind === "video") {
      return [
        ...common,
        element(0x83, uint(1)),
        element(0x86, text(track.codec === "vp8" ? "V_VP8" : "V_VP9")),
        element(0xe0, [element(0xb0, uint(track.width)), element(0xba, uint(track.height))]),
      ];
    }
    const rate = new Uint8Array(8);
    new DataView(rate.buffer).setFloat64(0, track.sampleRate);
    return [
      ...common,
      element(0x83, uint(2)),
      element(0x86, text("A_OPUS")),
      element(0x63a2, opusHead(track)),
      element(0xe1, [element(0xb5, rate), element(0x9f, uint(track.channels))]),
    ];
  }
}

/** Returns the identification header of Opus (RFC 7845, 5.1). */
function opusHead({ sampleRate, channels }: { sampleRate: number; channels: number }): Uint8Array {
  const head = new Uint8Array(19);
  head.set(text("OpusHead"));
  head[8] = 1;
  head[9] = channels;
  new DataView(head.buffer).setUint32(12, sampleRate, true);
  return head;
}

function element(id: number, content: Uint8Array | Uint8Array[]): Uint8Array {
  const parts = Array.isArray(content) ? content : [content];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const size = new Uint8Array(4);
  // The prefix 0001 marks a size of four bytes.
  new DataView(size.buffer).setUint32(0, length | 0x10000000);
  return join([uint(id), size, ...parts]);
}

/** Returns the start of an element of unknown size, which extends to the next one of its kind. */
function open(id: number): Uint8Array {
  return join([uint(id), new Uint8Array([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])]);
}

/** Encodes a number in as few bytes as possible. */
function uint(value: number): Uint8Array {
  const bytes: number[] = [];
  do {
    bytes.unshift(value % 256);
    value = Math.floor(value / 256);
  } while (value > 0);
  return new Uint8Array(bytes);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
