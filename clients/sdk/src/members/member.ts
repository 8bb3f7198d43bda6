import type { JsonObject, WireMember } from "../protocol.js";
import { isObject, type Succession, succession } from "./succession.js";

/** Under this key of a member's metadata the SDK says what it needs to know of the member. */
const OWN_KEY = "weir";

/** A member of the room. The object is replaced, not changed, when the member changes. */
export interface Member {
  readonly id: string;
  readonly name: string;
  /** What was attached; `{}` if that was no object. */
  readonly metadata: JsonObject;
  /** Milliseconds since the Unix epoch. */
  readonly joinedAt: number;
  readonly isSelf: boolean;
  /** Codecs that it decodes, such as `vp8` and `opus`; `undefined` if it did not say. */
  readonly decodes: readonly string[] | undefined;
  /** Whether its chunks go through a transform: without the same one they make no sense. */
  readonly transforms: boolean;
}

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

/** `metadata` with what the SDK adds to it. */
export function wireMetadata(
  metadata: JsonObject,
  own: { decodes: string[]; transforms: boolean } & Succession,
): JsonObject {
  return { ...metadata, [OWN_KEY]: own as unknown as JsonObject };
}

/** Whom a member says that it succeeds, and how its own successor will prove it. */
export function memberSuccession({ metadata }: WireMember): Succession {
  return isObject(metadata) ? succession(metadata[OWN_KEY]) : {};
}
