import type { JsonObject, WireMember } from "../protocol.js";
import { isObject, type Succession, succession } from "./succession.js";

/** Key of a member's metadata that holds the SDK's own part. */
const OWN_KEY = "weir";

/** Member of a room. A change replaces the object. */
export interface Member {
  readonly id: string;
  readonly name: string;
  /** Metadata that the member attached; `{}` if it is not an object. */
  readonly metadata: JsonObject;
  /** Milliseconds since the Unix epoch. */
  readonly joinedAt: number;
  readonly isSelf: boolean;
  /** Codecs that the member decodes, such as `vp8` and `opus`; `undefined` if unknown. */
  readonly decodes: readonly string[] | undefined;
  /** Whether the member transforms its chunks. Only members with the same transform can decode them. */
  readonly transforms: boolean;
}

/** Creates a member from its wire form. */
export function member(wire: WireMember, selfId: string | undefined): Member {
  const whole = isObject(wire.metadata) ? wire.metadata : {};
  const { [OWN_KEY]: own, ...metadata } = whole;
  const decodes = isObject(own) && Array.isArray(own.decodes) ? own.decodes : undefined;
  return {
    id: wire.id,
    name: wire.name,
    metadata,
    joinedAt: wire.joinedAt,
    isSelf: wire.id === selfId,
    decodes: decodes?.filter((each) => typeof each === "string").map((each) => each.toLowerCase()),
    transforms: isObject(own) && own.transforms === true,
  };
}

/** Returns `metadata` with the SDK's own part added. */
export function wireMetadata(
  metadata: JsonObject,
  own: { decodes: string[]; transforms: boolean } & Succession,
): JsonObject {
  return { ...metadata, [OWN_KEY]: own as unknown as JsonObject };
}

/** Returns what a member's metadata claims about its succession. */
export function memberSuccession({ metadata }: WireMember): Succession {
  return isObject(metadata) ? succession(metadata[OWN_KEY]) : {};
}
