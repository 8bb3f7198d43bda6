/** Base64 with padding (RFC 4648, section 4), the protocol's form of bytes outside payloads. */

/** Number of arguments that every browser allows in one call. */
const AT_ONCE = 8_192;

/** Encodes bytes. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += AT_ONCE) {
    text += String.fromCharCode(...bytes.subarray(at, at + AT_ONCE));
  }
  return btoa(text);
}

/** Decodes text that a node has validated. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = atob(text);
  return Uint8Array.from({ length: bytes.length }, (_, at) => bytes.charCodeAt(at));
}
