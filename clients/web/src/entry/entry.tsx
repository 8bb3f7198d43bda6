import { generateKey, type Room } from "@weir/sdk";
import { useEffect, useState } from "preact/hooks";
import type { Choices } from "../devices/choices";
import { usePreview } from "../devices/use-preview";
import { BAD_KEY, type Failure, failure, NO_ROOM } from "../failures";
import { FailureNote } from "../parts/failure-note";
import { Lock, Logo } from "../parts/icons";
import { type Route, typedRoute } from "../route";
import { enterRoom } from "./enter-room";
import { CreateForm, JoinByLinkForm, JoinForm } from "./forms";
import { Preview } from "./preview";

/** Key of the last used name in the browser's storage. */
const NAME = "weir.name";
/** The contract's limit, in characters. */
const MAX_NAME = 128;
const ALL_ON: Choices = { camera: true, microphone: true, cameraId: undefined, microphoneId: undefined };

interface Props {
  route: Route;
  entered: (room: Room, choices: Choices, route: Route) => void;
}

/** Start page; for the link of a room, its lobby. */
export function Entry({ route, entered }: Props) {
  const [name, setName] = useState(() => localStorage.getItem(NAME) ?? "");
  const [choices, setChoices] = useState<Choices>(ALL_ON);
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
      // A device that failed in the preview is not captured again at once.
      const available = {
        ...choices,
        camera: choices.camera && !preview.camera.problem,
        microphone: choices.microphone && !preview.microphone.problem,
      };
      const [room, id] = await enterRoom(goal, name.trim());
      entered(room, available, { ...goal, room: id });
    } catch (error) {
      setBusy(false);
      setProblem(error instanceof TypeError ? BAD_KEY : failure(error));
    }
  };
  const create = (encrypted: boolean) =>
    enter(async () => ({ room: undefined, key: encrypted ? await generateKey() : undefined }));
  const join = (goal: Route | undefined) => {
    if (goal) enter(async () => goal);
    else setProblem(NO_ROOM);
  };

  return (
    <main class="entry">
      <Head route={route} />
      <div class="entry-columns">
        <Preview choices={choices} change={(each) => setChoices({ ...choices, ...each })} preview={preview} />
        <div class="card">
          <NameField name={name} change={setName} />
          {problem && <FailureNote failure={problem} />}
          {route.room === undefined ? (
            <>
              <CreateForm busy={busy} create={create} />
              <p class="or">
                <span>or</span>
              </p>
              <JoinByLinkForm busy={busy} join={(text) => join(typedRoute(text))} />
            </>
          ) : (
            <JoinForm busy={busy} join={() => join(route)} />
          )}
        </div>
      </div>
    </main>
  );
}

function Head({ route }: { route: Route }) {
  return (
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
  );
}

function NameField({ name, change }: { name: string; change: (name: string) => void }) {
  return (
    <label class="field">
      <span>Your name</span>
      <input
        value={name}
        maxLength={MAX_NAME}
        placeholder="How the others see you"
        autocomplete="name"
        data-testid="name"
        onInput={({ currentTarget }) => change(currentTarget.value)}
      />
    </label>
  );
}
