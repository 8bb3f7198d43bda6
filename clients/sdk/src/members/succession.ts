import type { Json, JsonObject } from "../protocol.js";

/**
 * Claim of a rejoined member to replace an earlier one.
 *
 * After a lost connection a client rejoins as a new member, while the room may still list the old one. To
 * keep others from seeing both, the new member names its predecessor and proves the claim. The first join
 * published the hash of a secret, and the second join reveals the secret.
 */
export interface Succession {
  /** SHA-256 of the secret that the next join reveals; missing where the page has no `crypto.subtle`. */
  seal?: string;
  /** Predecessor of this member, and the secret that proves it. */
  after?: { id: string; secret: string };
}

/** Secret of a member, and its seal. */
export interface SealedSecret {
  secret: string;
  seal: string;
}

/** Creates a secret; `undefined` where the page has no `crypto.subtle`, as over plain http. */
export async function newSecret(): Promise<SealedSecret | undefined> {
  if (!globalThis.crypto?.subtle) return undefined;
  const secret = hex(crypto.getRandomValues(new Uint8Array(16)));
  return { secret, seal: await sealOf(secret) };
}

/** Reads the claim from the SDK's part of a member's metadata. */
export function succession(own: Json | undefined): Succession {
  if (!isObject(own)) return {};
  const { seal, after } = own;
  const claims = isObject(after) && typeof after.id === "string" && typeof after.secret === "string";
  return {
    ...(typeof seal === "string" ? { seal } : {}),
    ...(claims ? { after: { id: after.id as string, secret: after.secret as string } } : {}),
  };
}

/** Whether a claim is proven by the seal that its predecessor published. */
export async function proves({ after }: Succession, before: Succession): Promise<boolean> {
  if (!after || !before.seal || !globalThis.crypto?.subtle) return false;
  return (await sealOf(after.secret)) === before.seal;
}

async function sealOf(secret: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(secret))));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether `json` is an object, neither null nor a list. */
export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
