import type { Json, JsonObject } from "../protocol.js";

/**
 * After a lost connection a member comes back as another one, while the room may not know yet that the
 * first is gone. So that nobody sees both, it says whom it succeeds, and proves it: with its first
 * arrival it published the hash of a secret, which it tells with the second.
 */
export interface Succession {
  /** SHA-256 of the secret that the next arrival will tell; missing where the page may not compute it. */
  seal?: string;
  /** Whom this member succeeds, and the secret that proves it. */
  after?: { id: string; secret: string };
}

/** A secret, and its seal. Pages that are not served over https have none, and so no successors. */
export async function newSecret(): Promise<{ secret: string; seal: string } | undefined> {
  if (!globalThis.crypto?.subtle) return undefined;
  const secret = hex(crypto.getRandomValues(new Uint8Array(16)));
  return { secret, seal: await sealOf(secret) };
}

/** What the SDK's part of a member's metadata says of this. */
export function succession(own: Json | undefined): Succession {
  if (!isObject(own)) return {};
  const { seal, after } = own;
  const said = isObject(after) && typeof after.id === "string" && typeof after.secret === "string";
  return {
    ...(typeof seal === "string" ? { seal } : {}),
    ...(said ? { after: { id: after.id as string, secret: after.secret as string } } : {}),
  };
}

/** Whether who says this succeeds the member that said `before`. */
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

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
