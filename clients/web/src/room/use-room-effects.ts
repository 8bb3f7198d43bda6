import type { Room } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { CLOSED_ROOM, type Failure, failure } from "../failures";

/** Returns the latest announcement for screen readers: who joins, leaves or shares a screen. */
export function useAnnouncements(room: Room): string {
  const [text, setText] = useState("");
  useEffect(() => {
    const offs = [
      room.on("member:joined", ({ name }) => setText(`${name} joined`)),
      room.on("member:left", ({ name }) => setText(`${name} left`)),
      room.on("track:published", (track) => {
        if (track.source === "screen") setText(`${track.member.name} shares a screen`);
      }),
    ];
    return () => {
      for (const off of offs) off();
    };
  }, [room]);
  return text;
}

/** Calls `ended` when the room or the connection ends by itself. Closes the room when the page is left. */
export function useEnd(room: Room, ended: (why: Failure) => void): void {
  const latest = useRef(ended);
  latest.current = ended;
  useEffect(() => {
    const offs = [
      room.on("state", (state, error) => {
        if (state === "closed" && error) latest.current(failure(error));
      }),
      room.on("room:closed", () => {
        room.close();
        latest.current(CLOSED_ROOM);
      }),
    ];
    return () => {
      for (const off of offs) off();
      room.close();
    };
  }, [room]);
}

/** Calls actions by single keys, except while the user types. */
export function useShortcuts(actions: Record<string, () => void>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const { target } = event;
      const typing = target instanceof HTMLElement && target.closest("input, textarea, select, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      latest.current[event.key.toLowerCase()]?.();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
