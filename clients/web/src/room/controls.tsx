import { support } from "@weir/sdk";
import { useState } from "preact/hooks";
import type { Media } from "../devices/use-media";
import { Camera, Chart, Chat, Gear, Leave, Link, Microphone, Screen } from "../parts/icons";
import { address, currentRoute } from "../route";
import { Control } from "./control";

const COPIED_MS = 2_000;

/** Panel beside the people. */
export type Panel = "chat" | "stats" | undefined;

interface Props {
  media: Media;
  panel: Panel;
  unread: number;
  show: (panel: "chat" | "stats") => void;
  settings: () => void;
  leave: () => void;
}

/** Buttons at the bottom of a room. */
export function Controls({ media, panel, unread, show, settings, leave }: Props) {
  return (
    <footer class="controls">
      <MediaControls media={media} />
      <span class="gap" />
      <Control name="Chat" test="chat-toggle" keys="c" pressed={panel === "chat"} act={() => show("chat")}>
        <Chat />
        {unread > 0 && (
          <span class="unread">
            {unread}
            <span class="visually-hidden"> unread</span>
          </span>
        )}
      </Control>
      <Control
        name="Statistics"
        test="stats-toggle"
        keys="s"
        pressed={panel === "stats"}
        act={() => show("stats")}
      >
        <Chart />
      </Control>
      <Control name="Devices" test="settings-toggle" act={settings}>
        <Gear />
      </Control>
      <CopyLink />
      <span class="gap" />
      <button type="button" class="leave" data-testid="leave" onClick={leave}>
        <Leave />
        <span>Leave</span>
      </button>
    </footer>
  );
}

function MediaControls({ media }: { media: Media }) {
  return (
    <>
      <Control
        name="Microphone"
        test="mic-toggle"
        keys="m"
        pressed={media.microphoneOn}
        act={media.toggleMicrophone}
      >
        <Microphone off={!media.microphoneOn} />
      </Control>
      <Control name="Camera" test="camera-toggle" keys="v" pressed={media.cameraOn} act={media.toggleCamera}>
        <Camera off={!media.cameraOn} />
      </Control>
      {support().screen && (
        <Control
          name="Share screen"
          test="screen-toggle"
          pressed={media.screen !== undefined}
          act={media.toggleScreen}
        >
          <Screen />
        </Control>
      )}
    </>
  );
}

function CopyLink() {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(address(currentRoute()));
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <Control name={copied ? "Link copied" : "Copy link"} test="copy-link" act={() => copy().catch(() => {})}>
      <Link />
      {copied && (
        <span class="bubble" role="status">
          Link copied
        </span>
      )}
    </Control>
  );
}
