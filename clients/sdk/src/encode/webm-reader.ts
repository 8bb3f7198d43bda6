/** Frame of a WebM stream. */
interface WebmFrame {
  /** Milliseconds since the start of the stream. */
  timeMs: number;
  key: boolean;
  payload: Uint8Array;
}

const CLUSTER = 0x1f43b675;
const TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK = 0xa1;
/** Elements whose children are read in place: Segment, Cluster and BlockGroup. */
const CONTAINERS: ReadonlySet<number> = new Set([0x18538067, CLUSTER, 0xa0]);

/**
 * Streaming demuxer for WebM with one track. Supports what browsers record: elements of unknown size,
 * SimpleBlocks without lacing, timestamps in milliseconds.
 *
 * RFC 8794 (EBML), RFC 9559 (Matroska).
 */
export class WebmReader {
  #rest = new Uint8Array(0);
  #clusterMs = 0;

  /** Returns the frames that these bytes complete. */
  read(bytes: Uint8Array): WebmFrame[] {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const frames: WebmFrame[] = [];
    let at = 0;
    for (;;) {
      const id = number(all, at, false);
      const size = id && number(all, at + id.length, true);
      if (!id || !size) break;
      const start = at + id.length + size.length;
      if (CONTAINERS.has(id.value)) {
        at = start;
        continue;
      }
      const end = start + size.value;
      if (end > all.length) break;
      const content = all.subarray(start, end);
      if (id.value === TIMESTAMP) this.#clusterMs = content.reduce((sum, byte) => sum * 256 + byte, 0);
      else if (id.value === SIMPLE_BLOCK || id.value === BLOCK) {
        const frame = this.#frame(content, id.value === SIMPLE_BLOCK);
        if (frame) frames.push(frame);
      }
      at = end;
    }
    this.#rest = all.slice(at);
    return frames;
  }

  #frame(block: Uint8Array, simple: boolean): WebmFrame | undefined {
    const track = number(block, 0, true);
    if (!track || block.length < track.length + 3) return undefined;
    const view = new DataView(block.buffer, block.byteOffset + track.length);
    const flags = view.getUint8(2);
    return {
      timeMs: this.#clusterMs + view.getInt16(0),
      key: simple && (flags & 0x80) !== 0,
      payload: block.slice(track.length + 3),
    };
  }
}

/**
 * Reads the variable-length number at `at`: an element's id with its marker, or a size without it. An unknown
 * size is `Infinity`.
 */
function number(
  bytes: Uint8Array,
  at: number,
  sized: boolean,
): { value: number; length: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  const length = Math.clz32(first) - 23;
  if (at + length > bytes.length) return undefined;
  let value = sized ? first & (0xff >> length) : first;
  let unknown = value === 0xff >> length;
  for (let each = 1; each < length; each++) {
    const byte = bytes[at + each] ?? 0;
    unknown &&= byte === 0xff;
    value = value * 256 + byte;
  }
  return { value: sized && unknown ? Number.POSITIVE_INFINITY : value, length };
}
