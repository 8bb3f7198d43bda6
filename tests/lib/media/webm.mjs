// Ids of the parsed elements, including their length marker. EBML is RFC 8794, Matroska's
// elements are RFC 9559.
const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;
const TRACKS = 0x1654ae6b;
const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const TRACK_TYPE = 0x83;
const TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
const REFERENCE_BLOCK = 0xfb;

/**
 * Elements whose children are parsed. Their ends can be ignored: each id has one place, which identifies
 * its parent.
 */
const PARENTS = new Set([SEGMENT, CLUSTER, TRACKS, TRACK_ENTRY, BLOCK_GROUP]);

/** TrackType of video. */
const VIDEO = 1;

/** Flag of a SimpleBlock at which decoding can start. */
const KEYFRAME = 0x80;

/**
 * Splits a live WebM stream into `{ init }`, everything before the first cluster, and
 * `{ bytes, timestamp, key }` per cluster. A cluster is complete when the next one starts or the stream ends,
 * so that clusters of unknown size are no special case.
 * The concatenated pieces are the stream. `timestamp` is in the stream's unit, milliseconds by
 * default. `key` tells whether the cluster's first video block
 * is a key frame.
 */
export class WebmSplitter {
  /** Bytes from the start of the current piece. */
  #bytes = Buffer.alloc(0);
  /** Offset in `#bytes` of the next element. */
  #at = 0;
  /** Open cluster; undefined within the initialisation segment. */
  #cluster = null;
  #videoTracks = new Set();
  /** Number and type of the current TrackEntry. */
  #entry = {};
  /** Whether the current BlockGroup decides `key`. */
  #decides = false;

  /** Adds bytes of the stream and returns the pieces that they complete. */
  push(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const pieces = [];
    for (let element; (element = elementAt(this.#bytes, this.#at)) !== null; ) {
      const { id, header, size } = element;
      if (id === CLUSTER) {
        pieces.push(this.#cut());
        this.#cluster = { timestamp: 0, key: undefined };
      }
      if (PARENTS.has(id)) {
        this.#open(id);
        this.#at += header;
        continue;
      }
      if (size === null) throw new Error(`element ${id.toString(16)} has no size`);
      const end = this.#at + header + size;
      if (end > this.#bytes.length) break;
      this.#read(id, this.#bytes.subarray(this.#at + header, end));
      this.#at = end;
    }
    return pieces;
  }

  /** Ends the stream and returns the last piece. */
  end() {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw new Error(`the stream ends ${rest} bytes into an element`);
    return [this.#cut()];
  }

  /** Emits the bytes before `#at`. */
  #cut() {
    const bytes = this.#bytes.subarray(0, this.#at);
    this.#bytes = this.#bytes.subarray(this.#at);
    this.#at = 0;
    if (this.#cluster === null) return { init: bytes };
    const { timestamp, key = this.#videoTracks.size === 0 } = this.#cluster;
    return { bytes, timestamp, key };
  }

  #open(id) {
    if (id === TRACK_ENTRY) this.#entry = {};
    if (id === BLOCK_GROUP) this.#decides = false;
  }

  #read(id, data) {
    if (id === TRACK_NUMBER) this.#entry.number = unsigned(data);
    if (id === TRACK_TYPE) this.#entry.type = unsigned(data);
    if (this.#entry.type === VIDEO) this.#videoTracks.add(this.#entry.number);
    if (id === TIMESTAMP) this.#cluster.timestamp = unsigned(data);
    if (id === SIMPLE_BLOCK || id === BLOCK) this.#readBlock(id, data);
    // A block without own flags is a key frame unless it refers to another.
    if (id === REFERENCE_BLOCK && this.#decides) this.#cluster.key = false;
  }

  /** Parses a block: its track's number, a timestamp of two bytes, the flags, and the frames. */
  #readBlock(id, data) {
    const track = numberAt(data, 0);
    if (this.#cluster.key !== undefined || !this.#videoTracks.has(track.value)) return;
    this.#decides = id === BLOCK;
    this.#cluster.key = id === BLOCK || (data[track.length + 2] & KEYFRAME) !== 0;
  }
}

/** Parses the element header at `at`: id, header length, and size or null if unknown. */
function elementAt(bytes, at) {
  const id = numberAt(bytes, at, { marker: true });
  const size = id && numberAt(bytes, at + id.length);
  if (!size) return null;
  const unknown = size.value === 2 ** (7 * size.length) - 1;
  return { id: id.value, header: id.length + size.length, size: unknown ? null : size.value };
}

/** Parses a variable-length number: the zeros before its first one, the marker, give the number of further bytes. */
function numberAt(bytes, at, { marker = false } = {}) {
  if (at >= bytes.length) return null;
  const length = Math.clz32(bytes[at]) - 23;
  if (length > 8) throw new Error(`no EBML number at ${at}`);
  if (at + length > bytes.length) return null;
  const first = marker ? bytes[at] : bytes[at] & (0xff >> length);
  let value = first;
  for (let next = at + 1; next < at + length; next++) value = value * 256 + bytes[next];
  return { value, length };
}

function unsigned(data) {
  return data.reduce((value, byte) => value * 256 + byte, 0);
}
