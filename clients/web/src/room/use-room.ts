import type { RemoteTrack, Room, RoomEvents } from "@weir/sdk";
import { useEffect, useReducer } from "preact/hooks";

/** What may look different after it. */
const EVENTS = [
  "state",
  "member:joined",
  "member:updated",
  "member:left",
  "track:published",
  "track:updated",
  "track:unpublished",
  "room:updated",
  "speakers",
  "local:published",
  "local:updated",
  "local:unpublished",
  "audio:blocked",
] as const satisfies readonly (keyof RoomEvents)[];

/** Draws the component anew whenever the room changes. */
export function useRoom(room: Room): void {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const offs = EVENTS.map((event) => room.on(event, () => redraw(undefined)));
    // Whether a track can be played is known only some time after it is announced.
    const follow = (track: RemoteTrack) => offs.push(track.on("error", () => redraw(undefined)));
    offs.push(room.on("track:published", follow));
    for (const track of room.tracks.values()) follow(track);
    // What happened before it listened.
    redraw(undefined);
    return () => {
      for (const off of offs) off();
    };
  }, [room]);
}
