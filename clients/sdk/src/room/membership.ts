import { decodes } from "../codecs/families.js";
import { memberSuccession, wireMetadata } from "../members/member.js";
import { newSecret, proves, type SealedSecret, type Succession } from "../members/succession.js";
import type { JsonObject, Requests, WireMember } from "../protocol.js";
import type { JoinOptions } from "./events.js";
import type { View } from "./view.js";

/** Membership of one room, with what a rejoin needs. */
export interface Membership {
  readonly room: string;
  /** Options of the join; updated when the member changes itself. */
  options: JoinOptions;
  readonly selfId: string;
  readonly view: View;
  /** Proves to other members that a rejoined member is the same client. */
  readonly secret: SealedSecret | undefined;
}

/** Request to join a room. */
interface JoinRequest {
  room: string;
  options: JoinOptions;
  /** Membership to resume after a lost connection. */
  last: Membership | undefined;
  /** Whether this client transforms its chunks. */
  transforms: boolean;
}

/** Prepares the argument of `room:join`, and the secret of the new membership. */
export async function joinArgument({
  room,
  options,
  last,
  transforms,
}: JoinRequest): Promise<{ argument: Requests["room:join"][0]; secret: SealedSecret | undefined }> {
  const { metadata = {}, create, ...rest } = options;
  const secret = await newSecret();
  const after = last?.secret && { id: last.selfId, secret: last.secret.secret };
  const whole = await memberMetadata(metadata, transforms, secret, after && { after });
  // Omitted: the node's configuration decides.
  const creates = create === "return" ? (last ? true : undefined) : create;
  const argument = { ...rest, room, metadata: whole, ...(creates === undefined ? {} : { create: creates }) };
  return { argument, secret };
}

/** Returns `metadata` with what the SDK adds: supported codecs, the seal, and the claim to a succession. */
export async function memberMetadata(
  metadata: JsonObject,
  transforms: boolean,
  secret: SealedSecret | undefined,
  claim?: Succession,
): Promise<JsonObject> {
  return wireMetadata(metadata, {
    decodes: await decodes(),
    transforms,
    ...(secret && { seal: secret.seal }),
    ...claim,
  });
}

/** Returns the id of the member in `view` that `joined` provably replaces, if any. */
export async function predecessor(view: View, joined: WireMember): Promise<string | undefined> {
  const claim = memberSuccession(joined);
  const before = claim.after && view.members.get(claim.after.id);
  return before && (await proves(claim, memberSuccession(before))) ? before.id : undefined;
}
