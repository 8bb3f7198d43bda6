/** Key chunks come at least this often, for those who come late. */
const LONGEST_MS = 4_000;
/** Requests that come together get one key chunk together. */
const SHORTEST_MS = 250;

/** When the next picture is to be a key chunk. */
export class KeySchedule {
  #lastAt = Number.NEGATIVE_INFINITY;
  #wanted = true;

  /** Whether somebody has asked for one that was not made yet. */
  get waiting(): boolean {
    return this.#wanted;
  }

  request(): void {
    this.#wanted = true;
  }

  /** Whether the picture at `now` is to be one; if so, it counts as made. */
  take(now: number): boolean {
    const since = now - this.#lastAt;
    if (since < LONGEST_MS && !(this.#wanted && since >= SHORTEST_MS)) return false;
    this.#lastAt = now;
    this.#wanted = false;
    return true;
  }

  /** The next picture begins anew, whatever came before. */
  restart(): void {
    this.#lastAt = Number.NEGATIVE_INFINITY;
    this.#wanted = true;
  }
}
