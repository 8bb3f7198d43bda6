import type { TrackKind } from "../protocol.js";
import type { Member } from "./member.js";

/** Minimum level of speech. */
const THRESHOLD = 0.015;
/** Pause after which a member no longer counts as speaking. */
const HOLD_MS = 800;

/** Active-speaker detection from regularly sampled levels. */
export class Speakers {
  readonly #heardAt = new Map<string, number>();
  #active: readonly Member[] = [];

  /** Speaking members, the loudest first. */
  get active(): readonly Member[] {
    return this.#active;
  }

  /** Records each member's level. Returns whether the set of speaking members has changed. */
  observe(levels: ReadonlyMap<Member, number>, now: number): boolean {
    const before = new Set(this.#active.map(({ id }) => id));
    const present = new Set<string>();
    for (const [{ id }, level] of levels) {
      present.add(id);
      if (level >= THRESHOLD) this.#heardAt.set(id, now);
    }
    for (const id of this.#heardAt.keys()) if (!present.has(id)) this.#heardAt.delete(id);
    this.#active = [...levels]
      .filter(([{ id }]) => now - (this.#heardAt.get(id) ?? Number.NEGATIVE_INFINITY) < HOLD_MS)
      .sort(([, one], [, other]) => other - one)
      .map(([member]) => member);
    return this.#active.length !== before.size || this.#active.some(({ id }) => !before.has(id));
  }
}

/** Source of a member's level. */
interface AudibleTrack {
  readonly kind: TrackKind;
  readonly source: string | undefined;
  readonly level: number;
}

/** Returns each member's level: that of its loudest audio track, shared screens excluded. */
export function loudness(
  tracks: readonly { track: AudibleTrack; member: Member | undefined }[],
): Map<Member, number> {
  const levels = new Map<Member, number>();
  for (const { track, member } of tracks) {
    if (!member || track.kind !== "audio" || track.source === "screen-audio") continue;
    levels.set(member, Math.max(levels.get(member) ?? 0, track.level));
  }
  return levels;
}
