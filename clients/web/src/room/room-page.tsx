import type { Room } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Choices } from "../entry/use-preview";
import { type Failure, failure } from "../failures";
import { ChatPanel, useChat } from "../panels/chat";
import { StatsPanel } from "../panels/stats-panel";
import { Lock, Sound } from "../parts/icons";
import { FailureNote } from "../parts/notice";
import { Grid } from "../people/grid";
import { Controls } from "./controls";
import { Settings } from "./settings";
import { useMedia } from "./use-media";
import { useRoom } from "./use-room";

interface Props {
  room: Room;
  choices: Choices;
  encrypted: boolean;
  /** One has left, or `why` ended it. */
  ended: (why: Failure | undefined) => void;
}

type Panel = "chat" | "stats" | undefined;

/** Inside of a room. */
export function RoomPage({ room, choices, encrypted, ended }: Props) {
  useRoom(room);
  const media = useMedia(room, choices);
  const [panel, setPanel] = useState<Panel>();
  const chat = useChat(room, panel === "chat");
  const [settings, setSettings] = useState(false);
  const announcement = useAnnouncements(room);
  const id = room.info?.id ?? "";
  const show = (which: Panel) => setPanel(panel === which ? undefined : which);

  useEffect(() => {
    document.title = `${id} · Weir`;
  }, [id]);
  useEnd(room, ended);
  useShortcuts({
    m: media.toggleMicrophone,
    v: media.toggleCamera,
    c: () => show("chat"),
    s: () => show("stats"),
  });

  return (
    <div class={`room ${panel ? "with-panel" : ""}`} data-testid="room" data-room={id}>
      <header class="room-head">
        <h1>
          <span class="visually-hidden">Room </span>
          {id}
        </h1>
        {encrypted && (
          <span class="badge">
            <Lock /> End-to-end encrypted
          </span>
        )}
        <span class="count">
          {room.members.size === 1 ? "Only you are here" : `${room.members.size} people`}
        </span>
      </header>
      <div class="banners">
        {room.state === "reconnecting" && (
          <div class="banner" role="status" data-state="reconnecting" data-failure="disconnected">
            <span class="spinner" />
            <span>
              <strong>Connection lost.</strong> It is coming back by itself, with everything that you share.
            </span>
          </div>
        )}
        {room.audioBlocked && (
          <div class="banner" role="status">
            <Sound />
            <span>The browser keeps the sound back until you allow it.</span>
            <button
              type="button"
              class="primary"
              data-testid="enable-audio"
              onClick={() => room.startAudio().catch(() => {})}
            >
              Turn on sound
            </button>
          </div>
        )}
        {media.problem && <FailureNote failure={media.problem} dismiss={media.dismiss} />}
      </div>
      <main aria-label="People">
        <Grid room={room} media={media} />
      </main>
      {panel === "chat" && <ChatPanel chat={chat} close={() => setPanel(undefined)} />}
      {panel === "stats" && <StatsPanel room={room} close={() => setPanel(undefined)} />}
      <Controls
        media={media}
        panel={panel}
        unread={chat.unread}
        show={show}
        settings={() => setSettings(true)}
        leave={() => {
          // Whether the node hears of it or not: the connection's end says the same.
          room.leave().catch(() => {});
          room.close();
          ended(undefined);
        }}
      />
      {settings && <Settings media={media} close={() => setSettings(false)} />}
      <p class="visually-hidden" role="status">
        {announcement}
      </p>
    </div>
  );
}

/** Says who comes and goes, for those who do not see it. */
function useAnnouncements(room: Room): string {
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

/** Tells when the room or the connection has ended by itself. */
function useEnd(room: Room, ended: (why: Failure) => void): void {
  const latest = useRef(ended);
  latest.current = ended;
  useEffect(() => {
    const offs = [
      room.on("state", (state, error) => {
        if (state === "closed" && error) latest.current(failure(error));
      }),
      room.on("room:closed", () => {
        room.close();
        latest.current({
          code: "room_not_found",
          title: "This room was closed",
          advice: "Create another one, or ask for a new link.",
        });
      }),
    ];
    return () => {
      for (const off of offs) off();
      // Leaving the page ends the connection.
      room.close();
    };
  }, [room]);
}

/** Single keys, except where somebody types. */
function useShortcuts(actions: Record<string, () => void>): void {
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
