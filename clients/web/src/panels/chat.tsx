import type { Room } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failure } from "../failures";
import { Close, Send } from "../parts/icons";
import { FailureNote } from "../parts/notice";

const TOPIC = "chat";
/** Characters; far below the contract's 64 KiB. */
const LONGEST = 4_000;
/** Messages that are kept. */
const MOST = 500;

interface Line {
  number: number;
  name: string;
  own: boolean;
  text: string;
  at: Date;
}

/** What is said in writing. It goes on while nobody looks. */
export function useChat(room: Room, open: boolean) {
  const [lines, setLines] = useState<Line[]>([]);
  const [seen, setSeen] = useState(0);
  const counted = useRef(0);
  const add = (line: Omit<Line, "number" | "at">) => {
    counted.current += 1;
    const next = { ...line, number: counted.current, at: new Date() };
    setLines((before) => [...before.slice(1 - MOST), next]);
  };
  useEffect(
    () =>
      room.on("message", ({ from, topic, data }) => {
        const text = (data as { text?: unknown } | null)?.text;
        if (topic === TOPIC && typeof text === "string")
          add({ name: from.name, own: false, text: text.slice(0, LONGEST) });
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

export function ChatPanel({ chat, close }: { chat: ReturnType<typeof useChat>; close: () => void }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<Failure | undefined>();
  const list = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [chat.lines.length]);
  const submit = async (event: Event) => {
    event.preventDefault();
    const said = text.trim();
    if (said === "") return;
    try {
      await chat.say(said);
      setText("");
      setProblem(undefined);
    } catch (error) {
      setProblem(failure(error, "Not sent"));
    }
  };
  return (
    <aside class="panel" aria-label="Chat">
      <header>
        <h2>Chat</h2>
        <button type="button" class="round small" aria-label="Close chat" onClick={close}>
          <Close />
        </button>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div ref={list} class="lines" role="log" aria-label="Messages" tabIndex={0}>
        <ol>
          {chat.lines.map(({ number, name, own, text: said, at }) => (
            <li key={number} class={own ? "own" : ""} data-testid="chat-message">
              <span class="who">
                {own ? "You" : name} <time dateTime={at.toISOString()}>{clock(at)}</time>
              </span>
              <span class="said">{said}</span>
            </li>
          ))}
        </ol>
      </div>
      {chat.lines.length === 0 && <p class="empty">Nothing has been written yet.</p>}
      {problem && <FailureNote failure={problem} />}
      <form class="row" onSubmit={submit}>
        <input
          ref={input}
          value={text}
          maxLength={LONGEST}
          aria-label="Message to everybody"
          placeholder="Message to everybody"
          autocomplete="off"
          data-testid="chat-input"
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="submit" class="round primary" aria-label="Send" data-testid="chat-send">
          <Send />
        </button>
      </form>
    </aside>
  );
}

function clock(at: Date): string {
  return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
