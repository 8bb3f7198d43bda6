import { useEffect, useRef, useState } from "preact/hooks";
import { type Failure, failure } from "../failures";
import { FailureNote } from "../parts/failure-note";
import { Close, Send } from "../parts/icons";
import { type ChatState, MAX_TEXT } from "./use-chat";

/** Panel with the chat of a room. */
export function ChatPanel({ chat, close }: { chat: ChatState; close: () => void }) {
  return (
    <aside class="panel" aria-label="Chat">
      <header>
        <h2>Chat</h2>
        <button type="button" class="round small" aria-label="Close chat" onClick={close}>
          <Close />
        </button>
      </header>
      <Lines chat={chat} />
      {chat.lines.length === 0 && <p class="empty">No messages yet.</p>}
      <MessageForm say={chat.say} />
    </aside>
  );
}

function Lines({ chat }: { chat: ChatState }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [chat.lines.length]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable area must be reachable by keyboard
    <div ref={list} class="lines" role="log" aria-label="Messages" tabIndex={0}>
      <ol>
        {chat.lines.map(({ number, name, own, text, at }) => (
          <li key={number} class={own ? "own" : ""} data-testid="chat-message">
            <span class="who">
              {own ? "You" : name} <time dateTime={at.toISOString()}>{clock(at)}</time>
            </span>
            <span class="said">{text}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

function MessageForm({ say }: { say: (text: string) => Promise<void> }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<Failure | undefined>();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const message = text.trim();
    if (message === "") return;
    try {
      await say(message);
      setText("");
      setProblem(undefined);
    } catch (error) {
      setProblem(failure(error, "Not sent"));
    }
  };
  return (
    <>
      {problem && <FailureNote failure={problem} />}
      <form class="row" onSubmit={submit}>
        <input
          ref={input}
          value={text}
          maxLength={MAX_TEXT}
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
    </>
  );
}

function clock(at: Date): string {
  return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
