/** MIME types of containers that need an initialisation segment. */
const WITH_INIT = /^\w+\/(webm|mp4|x-matroska)\b/;
const EBML = [0x1a, 0x45, 0xdf, 0xa3];
const CLUSTER = [0x1f, 0x43, 0xb6, 0x75];
/** Boxes that can start a media segment of MP4. */
const MEDIA_BOXES = ["moof", "styp", "sidx", "emsg", "prft", "mdat"];

/** Whether a stream of this MIME type starts with an initialisation segment. */
export function needsInit(type: string): boolean {
  return WITH_INIT.test(type);
}

/**
 * Returns the initialisation segment at the start of a piece; `undefined` if it starts otherwise. The segment is a
 * WebM header up to its first Cluster (RFC 9559), or the MP4 boxes before the first media segment (ISO 14496-12).
 */
export function initSegment(piece: Uint8Array): Uint8Array | undefined {
  if (startsWith(piece, 0, EBML)) {
    for (let at = EBML.length; at < piece.length; at++) {
      if (startsWith(piece, at, CLUSTER)) return piece.slice(0, at);
    }
    return piece;
  }
  const first = boxType(piece, 0);
  if (first !== "ftyp" && first !== "moov") return undefined;
  const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
  for (let at = 0; at + 8 <= piece.length; ) {
    if (MEDIA_BOXES.includes(boxType(piece, at))) return piece.slice(0, at);
    const size = view.getUint32(at);
    // 0 means up to the end, and 1 a size stored elsewhere. Neither occurs before media.
    if (size < 8) break;
    at += size;
  }
  return piece;
}

/** Whether audio decoding can start at this piece: it starts a segment, or its container has none. */
export function startsSegment(type: string, piece: Uint8Array): boolean {
  if (!needsInit(type)) return true;
  return startsWith(piece, 0, CLUSTER) || MEDIA_BOXES.includes(boxType(piece, 0));
}

function startsWith(bytes: Uint8Array, at: number, pattern: readonly number[]): boolean {
  return pattern.every((byte, index) => bytes[at + index] === byte);
}

function boxType(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at + 4, at + 8));
}
