import { useState } from "preact/hooks";

/** Form that creates a room. */
export function CreateForm({ busy, create }: { busy: boolean; create: (encrypted: boolean) => void }) {
  const [encrypted, setEncrypted] = useState(false);
  return (
    <form onSubmit={(event) => submit(event, () => create(encrypted))}>
      <label class="check">
        <input
          type="checkbox"
          checked={encrypted}
          data-testid="encrypted"
          onChange={({ currentTarget }) => setEncrypted(currentTarget.checked)}
        />
        <span>
          End-to-end encrypted
          <small>Only people with the link can see and hear; the server cannot.</small>
        </span>
      </label>
      <button type="submit" class="primary wide" disabled={busy} data-testid="create">
        Create a room
      </button>
    </form>
  );
}

/** Form that joins a room by its id or link. */
export function JoinByLinkForm({ busy, join }: { busy: boolean; join: (text: string) => void }) {
  const [typed, setTyped] = useState("");
  return (
    <form class="row" onSubmit={(event) => submit(event, () => join(typed))}>
      <label class="field grow">
        <span>Room or link</span>
        <input
          value={typed}
          autocomplete="off"
          spellcheck={false}
          data-testid="room-id"
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={busy || typed.trim() === ""} data-testid="join">
        Join
      </button>
    </form>
  );
}

/** Form that joins the room of the page's address. */
export function JoinForm({ busy, join }: { busy: boolean; join: () => void }) {
  return (
    <form onSubmit={(event) => submit(event, join)}>
      <button type="submit" class="primary wide" disabled={busy} data-testid="join">
        {busy ? "Joining…" : "Join"}
      </button>
    </form>
  );
}

function submit(event: Event, action: () => void): void {
  event.preventDefault();
  action();
}
