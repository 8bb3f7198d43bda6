/** Silence after which the node is probed while media flows. */
const QUIET_MS = 1_000;
/** Silence after which the node is probed while no media flows; also the longest pause between two probes. */
const IDLE_QUIET_MS = 5_000;
/** Silence after a probe that counts as a lost connection. */
const SILENT_MS = 1_500;

/**
 * Failure detector of one connection. It decides when to probe a silent node, and when its silence means
 * that the connection is lost.
 */
export class Liveness {
  #heardAt: number;
  #mediaAt = 0;
  /** Time of the pending probe. */
  #askedAt: number | undefined;
  #probedAt = 0;
  #backlog = 0;
  #silentTicks = 0;
  #roundTripMs: number | undefined;

  constructor(now: number) {
    this.#heardAt = now;
  }

  /** Round-trip time of the last probe, in milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Records that something arrived at `now`. */
  heard(now: number): void {
    this.#heardAt = now;
  }

  /** Records that media was sent or received at `now`. */
  media(now: number): void {
    this.#mediaAt = now;
  }

  /**
   * Starts a probe while `backlog` bytes wait in the socket. Returns the callback for its answer, or
   * `undefined` if another probe is pending.
   */
  probe(now: number, backlog: number): ((answeredAt: number) => void) | undefined {
    if (this.#askedAt !== undefined) return undefined;
    this.#askedAt = now;
    this.#backlog = backlog;
    return (answeredAt) => {
      this.#roundTripMs = answeredAt - now;
      this.#askedAt = undefined;
    };
  }

  /** Returns what to do at a regular tick: probe, give up, or nothing. */
  check(now: number, backlog: number): "wait" | "probe" | "lost" {
    if (this.#askedAt === undefined) {
      const patience = now - this.#mediaAt < IDLE_QUIET_MS ? QUIET_MS : IDLE_QUIET_MS;
      const stale = this.#roundTripMs === undefined || now - this.#probedAt > IDLE_QUIET_MS;
      if (this.silentMs(now) < patience && !stale) return "wait";
      this.#probedAt = now;
      return "probe";
    }
    // A shrinking backlog proves that the uplink works, however slow it is.
    const drains = backlog < this.#backlog;
    this.#backlog = backlog;
    const silent = this.silentMs(now) >= SILENT_MS && now - this.#askedAt >= SILENT_MS && !drains;
    // When a page wakes up, its timers fire before it reads what arrived meanwhile. Hence two ticks.
    this.#silentTicks = silent ? this.#silentTicks + 1 : 0;
    return this.#silentTicks >= 2 ? "lost" : "wait";
  }

  /** Returns the time since something arrived, in milliseconds. */
  silentMs(now: number): number {
    return now - this.#heardAt;
  }
}
