/** Base64 with padding (RFC 4648, section 4): the contract's encoding of bytes outside payloads. */

/** Number of arguments that every browser accepts in one call. */
const MAX_ARGUMENTS = 8_192;

/** Encodes `bytes`. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += MAX_ARGUMENTS) {
    text += String.fromCharCode(...bytes.subarray(at, at + MAX_ARGUMENTS));
  }
  return btoa(text);
}

/** Decodes `text`, which a node has validated. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const bytes = atob(text);
  return Uint8Array.from({ length: bytes.length }, (_, at) => bytes.charCodeAt(at));
}
