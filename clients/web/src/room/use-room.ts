import type { RemoteTrack, Room, RoomEvents } from "@weir/sdk";
import { useEffect, useReducer } from "preact/hooks";

/** Events that may change what is shown. */
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

/** Redraws the component whenever the room changes. */
export function useRoom(room: Room): void {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const offs = EVENTS.map((event) => room.on(event, () => redraw(undefined)));
    // A track turns out unplayable some time after it is announced.
    const watch = (track: RemoteTrack) => offs.push(track.on("error", () => redraw(undefined)));
    offs.push(room.on("track:published", watch));
    for (const track of room.tracks.values()) watch(track);
    // Shows changes from before the listeners were added.
    redraw(undefined);
    return () => {
      for (const off of offs) off();
    };
  }, [room]);
}
