import type { Room } from "@weir/sdk";
import { useEffect, useState } from "preact/hooks";
import type { Choices } from "../devices/choices";
import { useMedia } from "../devices/use-media";
import type { Failure } from "../failures";
import { ChatPanel } from "../panels/chat-panel";
import { StatsPanel } from "../panels/stats-panel";
import { useChat } from "../panels/use-chat";
import { Lock } from "../parts/icons";
import { Grid } from "../people/grid";
import { Banners } from "./banners";
import { Controls, type Panel } from "./controls";
import { Settings } from "./settings";
import { useRoom } from "./use-room";
import { useAnnouncements, useEnd, useShortcuts } from "./use-room-effects";

interface Props {
  room: Room;
  choices: Choices;
  encrypted: boolean;
  /** Called after leaving, or when `why` has ended the room. */
  ended: (why: Failure | undefined) => void;
}

/** Page of a joined room. */
export function RoomPage({ room, choices, encrypted, ended }: Props) {
  useRoom(room);
  const media = useMedia(room, choices);
  const [panel, setPanel] = useState<Panel>();
  const chat = useChat(room, panel === "chat");
  const [settings, setSettings] = useState(false);
  const announcement = useAnnouncements(room);
  const id = room.info?.id ?? "";
  const show = (which: Panel) => setPanel(panel === which ? undefined : which);
  const leave = () => {
    // Whether or not the node answers: the closed connection ends the membership.
    room.leave().catch(() => {});
    room.close();
    ended(undefined);
  };

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
      <Head id={id} encrypted={encrypted} people={room.members.size} />
      <Banners room={room} media={media} />
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
        leave={leave}
      />
      {settings && <Settings media={media} close={() => setSettings(false)} />}
      <p class="visually-hidden" role="status">
        {announcement}
      </p>
    </div>
  );
}

function Head({ id, encrypted, people }: { id: string; encrypted: boolean; people: number }) {
  return (
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
      <span class="count">{people === 1 ? "Only you are here" : `${people} people`}</span>
    </header>
  );
}
