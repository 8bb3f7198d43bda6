import { aesGcm, connect, generateKey, importKey, type Room } from "@weir/sdk";
import { useEffect, useState } from "preact/hooks";
import { BAD_KEY, type Failure, failure, NO_ROOM } from "../failures";
import { Lock, Logo } from "../parts/icons";
import { FailureNote } from "../parts/notice";
import { nodeUrl, type Route, typedRoute } from "../route";
import { Preview } from "./preview";
import { type Choices, usePreview } from "./use-preview";

const NAME = "weir.name";
/** The contract's limit, in characters. */
const LONGEST_NAME = 128;

interface Props {
  route: Route;
  entered: (room: Room, choices: Choices, route: Route) => void;
}

/** The start page; and before a room that a link leads to, its lobby. */
export function Entry({ route, entered }: Props) {
  const [name, setName] = useState(() => localStorage.getItem(NAME) ?? "");
  const [typed, setTyped] = useState("");
  const [encrypted, setEncrypted] = useState(false);
  const [choices, setChoices] = useState<Choices>({
    camera: true,
    microphone: true,
    cameraId: undefined,
    microphoneId: undefined,
  });
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Failure | undefined>();
  const preview = usePreview(choices);
  useEffect(() => {
    document.title = route.room === undefined ? "Weir" : `Join ${route.room} · Weir`;
  }, [route.room]);

  const enter = async (target: () => Promise<Route>) => {
    setBusy(true);
    setProblem(undefined);
    localStorage.setItem(NAME, name.trim());
    try {
      const goal = await target();
      // What could not be captured here is not tried again at once.
      const reachable = {
        ...choices,
        camera: choices.camera && !preview.camera.problem,
        microphone: choices.microphone && !preview.microphone.problem,
      };
      const [room, id] = await enterRoom(goal, name.trim());
      entered(room, reachable, { ...goal, room: id });
    } catch (error) {
      setBusy(false);
      setProblem(error instanceof TypeError ? BAD_KEY : failure(error));
    }
  };
  const create = () =>
    enter(async () => ({ room: undefined, key: encrypted ? await generateKey() : undefined }));
  const join = () => {
    const goal = route.room === undefined ? typedRoute(typed) : route;
    if (goal) enter(async () => goal);
    else setProblem(NO_ROOM);
  };
  const submit = (event: Event, action: () => unknown) => {
    event.preventDefault();
    action();
  };

  return (
    <main class="entry">
      <header>
        <Logo />
        <h1>{route.room === undefined ? "Talk face to face" : "Ready to join?"}</h1>
        {route.room === undefined ? (
          <p>Rooms for live audio, video and data. No account: create one, and send its link.</p>
        ) : (
          <p>
            Room <code>{route.room}</code>
            {route.key !== undefined && (
              <span class="badge">
                <Lock /> End-to-end encrypted
              </span>
            )}
          </p>
        )}
      </header>
      <div class="entry-columns">
        <Preview choices={choices} change={(each) => setChoices({ ...choices, ...each })} preview={preview} />
        <div class="card">
          <label class="field">
            <span>Your name</span>
            <input
              value={name}
              maxLength={LONGEST_NAME}
              placeholder="How the others see you"
              autocomplete="name"
              data-testid="name"
              onInput={({ currentTarget }) => setName(currentTarget.value)}
            />
          </label>
          {problem && <FailureNote failure={problem} />}
          {route.room === undefined ? (
            <>
              <form onSubmit={(event) => submit(event, create)}>
                <label class="check">
                  <input
                    type="checkbox"
                    checked={encrypted}
                    data-testid="encrypted"
                    onChange={({ currentTarget }) => setEncrypted(currentTarget.checked)}
                  />
                  <span>
                    End-to-end encrypted
                    <small>Only those with the link can see and hear; the server cannot.</small>
                  </span>
                </label>
                <button type="submit" class="primary wide" disabled={busy} data-testid="create">
                  Create a room
                </button>
              </form>
              <p class="or">
                <span>or</span>
              </p>
              <form class="row" onSubmit={(event) => submit(event, join)}>
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
            </>
          ) : (
            <form onSubmit={(event) => submit(event, join)}>
              <button type="submit" class="primary wide" disabled={busy} data-testid="join">
                {busy ? "Joining…" : "Join"}
              </button>
            </form>
          )}
        </div>
      </div>
    </main>
  );
}

/** Connects and joins, after making the room if there is none yet. Throws `TypeError` if the key is none. */
async function enterRoom({ room: wanted, key }: Route, name: string): Promise<[Room, string]> {
  const transform = key === undefined ? {} : { transform: aesGcm(await importKey(key)) };
  const room = await connect(nodeUrl(), transform);
  try {
    const id = wanted ?? (await room.create()).id;
    // A mistyped link creates no room, but a call survives a restart of its node.
    await room.join(id, { name: name || "Guest", create: "return" });
    return [room, id];
  } catch (error) {
    room.close();
    throw error;
  }
}
