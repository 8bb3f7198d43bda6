import type { Room } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";

const TOPIC = "chat";
/** Maximum length of a message, in characters; far below the contract's 64 KiB. */
export const MAX_TEXT = 4_000;
/** Maximum messages that are kept. */
const MAX_LINES = 500;

interface Line {
  number: number;
  name: string;
  own: boolean;
  text: string;
  at: Date;
}

/** Chat of a room. */
export interface ChatState {
  lines: Line[];
  unread: number;
  say: (text: string) => Promise<void>;
}

/** Collects the chat of `room`, whether or not its panel is open. */
export function useChat(room: Room, open: boolean): ChatState {
  const [lines, setLines] = useState<Line[]>([]);
  const [seen, setSeen] = useState(0);
  const count = useRef(0);
  const add = (line: Omit<Line, "number" | "at">) => {
    count.current += 1;
    const next = { ...line, number: count.current, at: new Date() };
    setLines((before) => [...before.slice(1 - MAX_LINES), next]);
  };
  useEffect(
    () =>
      room.on("message", ({ from, topic, data }) => {
        const text = (data as { text?: unknown } | null)?.text;
        if (topic === TOPIC && typeof text === "string")
          add({ name: from.name, own: false, text: text.slice(0, MAX_TEXT) });
      }),
    [room],
  );
  const newest = lines.at(-1)?.number ?? 0;
  useEffect(() => {
    if (open) setSeen(newest);
  }, [open, newest]);
  return {
    lines,
    unread: open ? 0 : lines.filter(({ number, own }) => number > seen && !own).length,
    say: async (text: string) => {
      await room.send({ text }, { topic: TOPIC });
      add({ name: room.self?.name ?? "", own: true, text });
    },
  };
}
