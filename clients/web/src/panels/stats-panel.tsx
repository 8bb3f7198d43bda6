import type { LocalTrack, RemoteTrack, Room } from "@weir/sdk";
import { useEffect, useReducer } from "preact/hooks";
import { Close } from "../parts/icons";

const REFRESH_MS = 1_000;

/** Panel with the statistics of all tracks. */
export function StatsPanel({ room, close }: { room: Room; close: () => void }) {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => redraw(undefined), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <aside class="panel" aria-label="Statistics" data-testid="stats">
      <header>
        <h2>Statistics</h2>
        <button type="button" class="round small" aria-label="Close statistics" onClick={close}>
          <Close />
        </button>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable area must be reachable by keyboard */}
      <section class="tracks" tabIndex={0} aria-label="Tracks">
        <p>
          Round trip to the node <b>{ms(room.roundTripMs)}</b>
        </p>
        {[...room.published].map((track) => (
          <Sent key={track.id ?? track.source} track={track} />
        ))}
        {[...room.tracks.values()].map((track) => (
          <Received key={track.id} track={track} />
        ))}
      </section>
    </aside>
  );
}

function Sent({ track }: { track: LocalTrack }) {
  const stats = track.stats();
  const rows: [string, string][] = [
    ["Bitrate", kbit(stats.bitrate)],
    ["At most", kbit(stats.targetBitrate)],
    ...(track.kind === "video"
      ? ([
          ["Frame rate", perSecond(stats.frameRate)],
          ["Size", size(stats)],
          ["Key frames", `${stats.keyframes}`],
          ["Skipped", `${stats.skipped}`],
        ] satisfies [string, string][])
      : []),
  ];
  return <Figures title={`Your ${track.source ?? track.kind}`} codec={stats.codec} rows={rows} />;
}

function Received({ track }: { track: RemoteTrack }) {
  const stats = track.stats();
  const rows: [string, string][] = [
    ["Bitrate", kbit(stats.bitrate)],
    ...(track.kind === "video"
      ? ([
          ["Frame rate", perSecond(stats.frameRate)],
          ["Size", size(stats)],
          ["Latency", ms(stats.latencyMs)],
        ] satisfies [string, string][])
      : []),
    ["Jitter", ms(stats.jitterMs)],
    ["Buffered", ms(stats.bufferMs)],
    ["Gaps", stats.gaps === 0 ? "none" : `${stats.gaps} (${stats.lost} chunks)`],
    ...(stats.undecodable > 0
      ? ([["Undecodable", `${stats.undecodable}`]] satisfies [string, string][])
      : []),
  ];
  const title = `${track.member.name} · ${track.source ?? track.kind}`;
  return <Figures title={title} codec={stats.codec} rows={rows} />;
}

function Figures({ title, codec, rows }: { title: string; codec: string; rows: [string, string][] }) {
  return (
    <section class="figures">
      <h3>
        {title} <code>{codec}</code>
      </h3>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function ms(value: number | undefined): string {
  return value === undefined ? "–" : `${Math.round(value)} ms`;
}

function kbit(value: number): string {
  return `${Math.round(value / 1_000)} kbit/s`;
}

function perSecond(value: number): string {
  return `${Math.round(value)}/s`;
}

function size({ width, height }: { width?: number; height?: number }): string {
  return width === undefined || height === undefined ? "–" : `${width}×${height}`;
}
