// The ids of the elements that matter, their length marker included. EBML is RFC 8794, Matroska's
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
 * Elements that are walked into. Where they end needs no attention: every id has one place, so
 * each child tells by its id where it belongs.
 */
const PARENTS = new Set([SEGMENT, CLUSTER, TRACKS, TRACK_ENTRY, BLOCK_GROUP]);

/** The TrackType of video. */
const VIDEO = 1;

/** The flag of a SimpleBlock that says that decoding can start at it. */
const KEYFRAME = 0x80;

/**
 * Cuts a live WebM stream, as it comes, into `{ init }`, which is everything before the first
 * cluster, and `{ bytes, timestamp, key }` a cluster, each as soon as it is complete, which it is
 * when the next one starts or the stream ends: so clusters of unknown size are no special case.
 * Put together, the pieces are the stream. `timestamp` is in the stream's own unit, which is
 * milliseconds unless the stream says otherwise; `key` says that the cluster's first video block
 * is a key frame.
 */
export class WebmSplitter {
  /** From the start of the piece that is being read. */
  #bytes = Buffer.alloc(0);
  /** Where in `#bytes` the next element starts. */
  #at = 0;
  /** What is known of the open cluster; none while the initialisation segment is read. */
  #cluster = null;
  #videoTracks = new Set();
  /** Number and type of the TrackEntry that is being read. */
  #entry = {};
  /** Whether the BlockGroup that is being read decides on `key`. */
  #decides = false;

  /** Takes the next bytes of the stream and returns the pieces that they complete. */
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

  /** The stream is over: returns the last piece. */
  end() {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw new Error(`the stream ends ${rest} bytes into an element`);
    return [this.#cut()];
  }

  /** Hands out what stands before `#at`. */
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
    // A block without flags of its own is a key frame unless it refers to another.
    if (id === REFERENCE_BLOCK && this.#decides) this.#cluster.key = false;
  }

  /** A block is its track's number, a timestamp of two bytes, the flags, and the frames. */
  #readBlock(id, data) {
    const track = numberAt(data, 0);
    if (this.#cluster.key !== undefined || !this.#videoTracks.has(track.value)) return;
    this.#decides = id === BLOCK;
    this.#cluster.key = id === BLOCK || (data[track.length + 2] & KEYFRAME) !== 0;
  }
}

/** The element at `at`: its id, the length of its header, its size or null where it is unknown. */
function elementAt(bytes, at) {
  const id = numberAt(bytes, at, { marker: true });
  const size = id && numberAt(bytes, at + id.length);
  if (!size) return null;
  const unknown = size.value === 2 ** (7 * size.length) - 1;
  return { id: id.value, header: id.length + size.length, size: unknown ? null : size.value };
}

/** A number of variable length: the zeros before its first one, the marker, tell how many bytes follow. */
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
