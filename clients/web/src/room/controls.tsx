import { support } from "@weir/sdk";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Camera, Chart, Chat, Gear, Leave, Link, Microphone, Screen } from "../parts/icons";
import { address, currentRoute } from "../route";
import type { Media } from "./use-media";

const COPIED_MS = 2_000;

interface Props {
  media: Media;
  panel: "chat" | "stats" | undefined;
  unread: number;
  show: (panel: "chat" | "stats") => void;
  settings: () => void;
  leave: () => void;
}

/** The buttons at the foot of a room. */
export function Controls({ media, panel, unread, show, settings, leave }: Props) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(address(currentRoute()));
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <footer class="controls">
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
      <Control
        name={copied ? "Link copied" : "Copy link"}
        test="copy-link"
        act={() => copy().catch(() => {})}
      >
        <Link />
        {copied && (
          <span class="bubble" role="status">
            Link copied
          </span>
        )}
      </Control>
      <span class="gap" />
      <button type="button" class="leave" data-testid="leave" onClick={leave}>
        <Leave />
        <span>Leave</span>
      </button>
    </footer>
  );
}

interface ControlProps {
  name: string;
  test: string;
  /** The key that does the same. */
  keys?: string;
  /** Of those that are on or off. */
  pressed?: boolean;
  act: () => void;
  children: ComponentChildren;
}

function Control({ name, test, keys, pressed, act, children }: ControlProps) {
  return (
    <button
      type="button"
      class="round"
      aria-label={name}
      title={keys ? `${name} (${keys.toUpperCase()})` : name}
      data-testid={test}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
      {...(keys ? { "aria-keyshortcuts": keys } : {})}
      onClick={act}
    >
      {children}
    </button>
  );
}
