import type { LocalTrack } from "../tracks/local-track.js";
import type { RemoteTrack } from "../tracks/remote-track.js";
import type { Member } from "./member.js";

/** Quieter sound is not speech. */
const THRESHOLD = 0.015;
/** Who has paused for less is still speaking. */
const HOLD_MS = 800;

/** Who is speaking, from how loud everybody is now and then. */
export class Speakers {
  readonly #heardAt = new Map<string, number>();
  #active: readonly Member[] = [];

  /** The loudest first. */
  get active(): readonly Member[] {
    return this.#active;
  }

  /** Takes in how loud each member is; whether other ones speak now. */
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

/** How loud each member speaks; what a shared screen sounds like is not speech. */
export function loudness(
  tracks: readonly {
    track: Pick<LocalTrack | RemoteTrack, "kind" | "source" | "level">;
    member: Member | undefined;
  }[],
): Map<Member, number> {
  const levels = new Map<Member, number>();
  for (const { track, member } of tracks) {
    if (!member || track.kind !== "audio" || track.source === "screen-audio") continue;
    levels.set(member, Math.max(levels.get(member) ?? 0, track.level));
  }
  return levels;
}
