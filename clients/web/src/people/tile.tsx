import { LocalTrack, type Member, RemoteTrack } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { OwnScreen, SelfView } from "../devices/stream-video";
import { UNPLAYABLE } from "../failures";
import { Lock, Microphone } from "../parts/icons";

/** Time after the last undecodable chunk for which the notice stays. */
const UNDECODABLE_MS = 2_500;
const HUES = 12;

interface Props {
  member: Member;
  /** Video to show; an avatar if there is none. */
  track: RemoteTrack | LocalTrack | undefined;
  silent: boolean;
  /** Whether this browser cannot play the member's audio. */
  unheard?: boolean;
  speaking: boolean;
  /** Whether the tile shows a shared screen. */
  screen?: boolean;
}

/** Tile of a member or of a shared screen. */
export function Tile({ member, track, silent, unheard = false, speaking, screen = false }: Props) {
  const remote = track instanceof RemoteTrack ? track : undefined;
  const undecodable = useUndecodable(remote);
  const unplayable = remote?.error !== undefined && !remote.muted;
  const own = track instanceof LocalTrack && !track.muted ? track.mediaStreamTrack : undefined;
  const name = member.isSelf ? `${member.name} (you)` : member.name;
  return (
    <article
      class={`tile ${speaking ? "speaking" : ""} ${screen ? "screen" : ""}`}
      aria-label={screen ? `Screen of ${name}` : name}
      data-testid="tile"
      data-member={member.id}
      data-self={member.isSelf}
      data-speaking={speaking}
    >
      {remote && !remote.muted && <Picture track={remote} label={`Picture of ${name}`} />}
      {own && (screen ? <OwnScreen track={own} /> : <SelfView track={own} />)}
      {!own && (!remote || remote.muted) && <Avatar member={member} />}
      {unplayable && (
        <div class="garbled" role="alert" data-failure={UNPLAYABLE.code}>
          <strong>{UNPLAYABLE.title}</strong>
          <span>{UNPLAYABLE.advice}</span>
        </div>
      )}
      {undecodable && (
        <div class="garbled" role="alert" data-failure="undecodable">
          <Lock />
          <strong>Encrypted with another key</strong>
          <span>Ask for the complete link of this room.</span>
        </div>
      )}
      <p class="name">
        {silent && (
          <>
            <Microphone off />
            <span class="visually-hidden">Microphone off: </span>
          </>
        )}
        {unheard && <span data-failure={UNPLAYABLE.code}>No sound, {UNPLAYABLE.title.toLowerCase()}:</span>}
        <span>{screen ? `${name} · screen` : name}</span>
      </p>
    </article>
  );
}

/** Returns whether chunks of the track were undecodable recently. */
function useUndecodable(track: RemoteTrack | undefined): boolean {
  const [undecodable, setUndecodable] = useState(false);
  useEffect(() => {
    setUndecodable(false);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const off = track?.on("undecodable", () => {
      setUndecodable(true);
      clearTimeout(timer);
      timer = setTimeout(() => setUndecodable(false), UNDECODABLE_MS);
    });
    return () => {
      off?.();
      clearTimeout(timer);
    };
  }, [track]);
  return undecodable;
}

function Picture({ track, label }: { track: RemoteTrack; label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    track.attach(element);
    return () => track.detach(element);
  }, [track]);
  return <canvas ref={canvas} role="img" aria-label={label} />;
}

/** Initials of a member, in a colour derived from its id. */
function Avatar({ member }: { member: Member }) {
  const initials = member.name
    .split(/\s+/)
    .map((word) => [...word][0] ?? "")
    .slice(0, 2)
    .join("")
    .toUpperCase();
  const hue = [...member.id].reduce((sum, each) => sum + (each.codePointAt(0) ?? 0), 0) % HUES;
  return (
    <span class="avatar" style={{ "--hue": `${(hue * 360) / HUES}` }} aria-hidden="true">
      {initials || "?"}
    </span>
  );
}
