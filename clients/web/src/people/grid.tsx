import type { LocalTrack, Member, RemoteTrack, Room } from "@weir/sdk";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Media } from "../devices/use-media";
import { Tile } from "./tile";

const RATIO = 16 / 9;
const GAP = 12;

/** Tiles of all members. Shared screens come first, and are larger. */
export function Grid({ room, media }: { room: Room; media: Media }) {
  const tracks = [...room.tracks.values()];
  const members = [...room.members.values()].sort((one, other) => Number(one.isSelf) - Number(other.isSelf));
  const picture = (member: Member): RemoteTrack | LocalTrack | undefined =>
    member.isSelf
      ? media.camera
      : tracks.find((track) => track.kind === "video" && track.member.id === member.id && !isScreen(track));
  const sounds = (member: Member) =>
    tracks.filter((track) => track.kind === "audio" && track.member.id === member.id && !isScreen(track));
  const silent = (member: Member): boolean =>
    member.isSelf ? !media.microphoneOn : sounds(member).every(({ muted }) => muted);
  const speaking = new Set(room.activeSpeakers.map(({ id }) => id));
  const screens: { member: Member; track: RemoteTrack | LocalTrack }[] = tracks
    .filter((track) => track.kind === "video" && isScreen(track))
    .map((track) => ({ member: track.member, track }));
  if (media.screen && room.self) screens.push({ member: room.self, track: media.screen });

  const people = members.map((member) => (
    <Tile
      key={member.id}
      member={member}
      track={picture(member)}
      silent={silent(member)}
      unheard={sounds(member).some(({ error, muted }) => error !== undefined && !muted)}
      speaking={speaking.has(member.id)}
    />
  ));
  if (screens.length === 0) return <Fitted count={people.length}>{people}</Fitted>;
  return (
    <div class="shared">
      <Fitted count={screens.length}>
        {screens.map(({ member, track }) => (
          <Tile
            key={`screen ${member.id}`}
            member={member}
            track={track}
            screen
            speaking={false}
            silent={false}
          />
        ))}
      </Fitted>
      <div class="strip">{people}</div>
    </div>
  );
}

function isScreen({ source }: { source: string | undefined }): boolean {
  return source === "screen" || source === "screen-audio";
}

/** Area with as many columns as make the tiles largest. */
function Fitted({ count, children }: { count: number; children: preact.ComponentChildren }) {
  const area = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    const observer = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={area} class="fitted" style={{ "--tile": `${tileWidth(count, size)}px` }}>
      {children}
    </div>
  );
}

/** Returns the greatest width at which `count` tiles fit. */
export function tileWidth(count: number, { width, height }: { width: number; height: number }): number {
  let best = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const wide = (width - GAP * (columns - 1)) / columns;
    const high = ((height - GAP * (rows - 1)) / rows) * RATIO;
    best = Math.max(best, Math.min(wide, high));
  }
  return Math.floor(best);
}
