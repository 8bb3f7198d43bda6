import type { ChunkInfo, ChunkTransform } from "./transform.js";

/** NIST SP 800-38D, 8.2.2: a random initialization vector of 96 bits, for at most 2^32 chunks of one key. */
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * End-to-end encryption with one key for all members of a room: AES-GCM, each payload as its
 * initialization vector, ciphertext and tag. That a chunk is a key chunk, and its `ts`, are
 * authenticated with it, so nobody on the way can change them unnoticed.
 */
export function aesGcm(key: CryptoKey): ChunkTransform {
  return {
    async encode(payload, chunk) {
      const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
      const sealed = await crypto.subtle.encrypt(parameters(iv, chunk), key, payload as BufferSource);
      const whole = new Uint8Array(IV_BYTES + sealed.byteLength);
      whole.set(iv);
      whole.set(new Uint8Array(sealed), IV_BYTES);
      return whole;
    },
    async decode(payload, chunk) {
      if (payload.length < IV_BYTES + TAG_BYTES) throw new Error("the chunk is not encrypted");
      const iv = payload.slice(0, IV_BYTES);
      const opened = await crypto.subtle.decrypt(parameters(iv, chunk), key, payload.slice(IV_BYTES));
      return new Uint8Array(opened);
    },
  };
}

/** A new key of 128 bits for {@link importKey}, as text that fits into a link. */
export async function generateKey(): Promise<string> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** The key that {@link generateKey} wrote; rejects with a `TypeError` if `text` is none. */
export async function importKey(text: string): Promise<CryptoKey> {
  if (!/^[A-Za-z0-9_-]{22}$/.test(text)) throw new TypeError("a key is 22 characters of base64url");
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) =>
    each.charCodeAt(0),
  );
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

function parameters(iv: Uint8Array<ArrayBuffer>, { ts, key }: ChunkInfo): AesGcmParams {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(`${ts} ${key}`) };
}
