import type { ChunkInfo, ChunkTransform } from "./transform.js";

/** Size of a random initialization vector: 96 bits, for at most 2^32 chunks per key (NIST SP 800-38D, 8.2.2). */
const IV_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Creates a transform for end-to-end encryption with AES-GCM and one key for all members of a room.
 *
 * A payload becomes initialization vector, ciphertext and tag. The tag also authenticates `ts` and `key`, so
 * that no node can change them unnoticed.
 *
 * ```ts
 * const key = await importKey(await generateKey());
 * const room = await connect(url, { transform: aesGcm(key) });
 * ```
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

/** Generates a 128-bit key, as text that fits into a link. Pass it to {@link importKey}. */
export async function generateKey(): Promise<string> {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Imports a key of {@link generateKey}. Rejects with a `TypeError` if `text` is not one. */
export async function importKey(text: string): Promise<CryptoKey> {
  if (!/^[A-Za-z0-9_-]{22}$/.test(text)) throw new TypeError("a key has 22 base64url characters");
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) =>
    each.charCodeAt(0),
  );
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

function parameters(iv: Uint8Array<ArrayBuffer>, { ts, key }: ChunkInfo): AesGcmParams {
  return { name: "AES-GCM", iv, additionalData: new TextEncoder().encode(`${ts} ${key}`) };
}
