import { LocalTrack, type Member, RemoteTrack } from "@weir/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { SelfPicture } from "../entry/preview";
import { UNPLAYABLE } from "../failures";
import { Lock, Microphone } from "../parts/icons";

/** So long after the last chunk that made no sense it is not mentioned any more. */
const GARBLED_MS = 2_500;
const HUES = 12;

interface Props {
  member: Member;
  /** Its picture, if it shares one. */
  track: RemoteTrack | LocalTrack | undefined;
  silent: boolean;
  /** Whether this browser cannot play its sound. */
  unheard?: boolean;
  speaking: boolean;
  /** It is a shared screen. */
  screen?: boolean;
}

/** Somebody's picture, or a sign for it. */
export function Tile({ member, track, silent, unheard = false, speaking, screen = false }: Props) {
  const remote = track instanceof RemoteTrack ? track : undefined;
  const garbled = useGarbled(remote);
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
      {own && (screen ? <OwnScreen track={own} /> : <SelfPicture track={own} />)}
      {!own && (!remote || remote.muted) && <Avatar member={member} />}
      {unplayable && (
        <div class="garbled" role="alert" data-failure={UNPLAYABLE.code}>
          <strong>{UNPLAYABLE.title}</strong>
          <span>{UNPLAYABLE.advice}</span>
        </div>
      )}
      {garbled && (
        <div class="garbled" role="alert" data-failure="undecodable">
          <Lock />
          <strong>Encrypted with another key</strong>
          <span>Ask for the whole link of this room.</span>
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

/** Whether chunks of it are made no sense of. */
function useGarbled(track: RemoteTrack | undefined): boolean {
  const [garbled, setGarbled] = useState(false);
  useEffect(() => {
    setGarbled(false);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const off = track?.on("undecodable", () => {
      setGarbled(true);
      clearTimeout(timer);
      timer = setTimeout(() => setGarbled(false), GARBLED_MS);
    });
    return () => {
      off?.();
      clearTimeout(timer);
    };
  }, [track]);
  return garbled;
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

function OwnScreen({ track }: { track: MediaStreamTrack }) {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (video.current) video.current.srcObject = new MediaStream([track]);
  }, [track]);
  return <video ref={video} aria-label="Your shared screen" autoplay muted playsInline />;
}

/** Initials, in a colour that is always the same for a member. */
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
