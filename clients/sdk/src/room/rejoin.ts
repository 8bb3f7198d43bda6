import { WeirError } from "../errors.js";

/** Time after which a node has released the seat of a lost connection: its heartbeat timeout, and a margin. */
const SEAT_HELD_MS = 60_000;
/** Delay before another attempt to rejoin. */
export const REJOIN_MS = 1_000;

/** Calls `join` until the room has a free seat. The lost connection may still hold this client's own seat. */
export async function rejoin(join: () => Promise<void>): Promise<void> {
  const until = performance.now() + SEAT_HELD_MS;
  for (;;) {
    try {
      await join();
      return;
    } catch (error) {
      const full = error instanceof WeirError && error.code === "room_full";
      if (!full || performance.now() > until) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, REJOIN_MS));
  }
}
