// `/metrics` compared with events, with the documentation and with Prometheus' conventions.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { startCluster } from "../lib/servers/cluster.mjs";
import { metrics, metricsPage } from "../lib/servers/metrics.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { tool } from "../lib/harness/tools.mjs";

const DOCS = new URL("../../docs/", import.meta.url);
const CHUNKS = 200;
const BYTES = 100;

/** Returns the metrics of docs/operations.md: type, and values by label. */
async function documented() {
  const text = await readFile(new URL("operations.md", DOCS), "utf8");
  const protocol = await readFile(new URL("protocol.md", DOCS), "utf8");
  const codes = [...protocol.split("## Refusals")[1].split("## ")[0].matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code);
  const known = new Map();
  for (const line of text.split("## Metrics")[1].split("\n## ")[0].split("\n").filter((line) => /^\| `/.test(line))) {
    const [, , name, type, , labels] = line.split("|").map((cell) => cell.trim());
    const values = new Map();
    for (const label of labels ? labels.split("; ") : []) {
      const [, key, rest] = label.match(/^`(\w+)`(.*)$/);
      const listed = [...rest.matchAll(/`([\w-]+)`/g)].map(([, value]) => value);
      if (key === "kind") values.set(key, ["audio", "video", "data"]);
      else values.set(key, key === "error_type" ? codes : listed);
    }
    known.set(name.replaceAll("`", ""), { type, values });
  }
  return known;
}

/** Returns labels and values of a sample such as `name{a="b",c="d"}`. */
function labels(sample) {
  return [...sample.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]);
}

/** Asserts that names, types and labels follow Prometheus' conventions and are those of the documentation. */
async function assertDocumented(nodes) {
  const known = await documented();
  const said = new Map();
  for (const node of nodes) {
    const page = await metricsPage(node);
    const checked = spawnSync(tool("promtool"), ["check", "metrics"], { input: page, encoding: "utf8" });
    assert.deepEqual([checked.status, checked.stdout, checked.stderr], [0, "", ""], checked.error?.message);
    for (const [, name, type] of page.matchAll(/^# TYPE (\w+) (\w+)$/gm)) said.set(name, type);
    for (const [sample] of page.matchAll(/^(?!#|target_info)\S+(?= )/gm)) {
      const name = sample.split("{")[0];
      const { values, type } = known.get(name) ?? known.get(name.replace(/_(bucket|sum|count)$/, "")) ?? {};
      for (const [key, value] of labels(sample)) {
        if (type === "histogram" && key === "le") continue;
        assert.ok(values?.get(key)?.includes(value), `${sample}: ${key} is documented otherwise`);
      }
    }
  }
  said.delete("target_info");
  // Exists only with a collector; another test covers it.
  known.delete("weir_telemetry_records_total");
  const types = [...known].map(([name, { type }]) => [name, type]);
  assert.deepEqual([...said].sort(), types.sort());
}

test("metrics count events, follow Prometheus' conventions and match the documentation", async (t) => {
  const { nodes } = await startCluster(t, 2);
  const [a, b] = nodes;
  const ann = await SocketPeer.connect(t, a.url, "websocket", "ann");
  const bob = await SocketPeer.connect(t, b.url, "websocket", "bob");
  const carol = await SocketPeer.connect(t, a.url, "polling", "carol");
  const { room } = await ann.request("room:create");
  for (const peer of [ann, bob, carol]) await peer.join(room.id);
  const { track } = await ann.request("track:publish", { kind: "audio", codec: "opus" });
  // Chunks sent before the other node subscribes would be published twice.
  await bob.until("it knows the track", () => bob.all("track:published").length === 1);
  await bob.request("track:subscribe", { track: track.id });
  for (let index = 0; index < CHUNKS; index++) ann.emit("media", { track: track.id, ts: index }, Buffer.alloc(BYTES));
  for (const peer of [bob, carol]) await peer.until("has all", () => peer.chunks(track.id).length === CHUNKS);
  await ann.refusal("track:unpublish", { track: 99 });
  await bob.refusal("no such thing", {});
  ann.emit("media", { track: 77, ts: 0 }, Buffer.from("nobody's"));
  await ann.event("error");

  const [atA, atB] = await Promise.all(nodes.map(metrics));
  const expected = {
    weir_sessions: [2, 1],
    weir_members: [2, 1],
    weir_rooms: [1, 1],
    'weir_tracks{kind="audio"}': [1, 0],
    'weir_ingest_chunks_total{kind="audio"}': [CHUNKS, 0],
    'weir_ingest_payload_bytes_total{kind="audio"}': [CHUNKS * BYTES, 0],
    'weir_egress_payload_bytes_total{kind="audio"}': [CHUNKS * BYTES, CHUNKS * BYTES],
    'weir_relay_chunks_total{direction="out",kind="audio"}': [CHUNKS, 0],
    'weir_relay_chunks_total{direction="in",kind="audio"}': [0, CHUNKS],
    'weir_relay_dropped_total{kind="audio",reason="lost"}': [0, 0],
    'weir_request_failed_total{error_type="track_not_found"}': [1, 0],
    'weir_request_failed_total{error_type="bad_request"}': [0, 1],
    'weir_ingest_refused_total{error_type="track_not_found"}': [1, 0],
    'weir_redis_up{plane="directory"}': [1, 1],
    'weir_redis_up{plane="events"}': [1, 1],
    'weir_redis_up{plane="publishing"}': [1, 1],
    'weir_redis_up{plane="subscriptions"}': [1, 1],
    weir_ready: [1, 1],
    weir_drain_phase: [0, 0],
    'weir_directory_operation_duration_seconds_count{operation="join"}': [2, 1],
    'weir_chunk_hop_duration_seconds_count{hop="own"}': [Math.ceil(CHUNKS / 64), undefined],
    'weir_chunk_hop_duration_seconds_count{hop="remote"}': [undefined, Math.ceil(CHUNKS / 64)],
  };
  for (const [name, values] of Object.entries(expected)) assert.deepEqual([atA[name], atB[name]], values, name);
  const copies = (at) => at['weir_egress_chunks_total{kind="audio",way="direct"}'] + at['weir_egress_chunks_total{kind="audio",way="queued"}'];
  assert.deepEqual([copies(atA), copies(atB)], [CHUNKS, CHUNKS]);

  await assertDocumented(nodes);
});

test("metrics show the queue of a client that does not read", async (t) => {
  const { nodes } = await startCluster(t, 1);
  const ann = await SocketPeer.connect(t, nodes[0].url, "websocket", "ann");
  const bob = await SocketPeer.connect(t, nodes[0].url, "websocket", "bob");
  const { room } = await ann.request("room:create");
  for (const peer of [ann, bob]) await peer.join(room.id);
  const { track } = await ann.request("track:publish", { kind: "data", codec: "x" });
  bob.socket.io.engine.transport.ws._socket.pause();
  await eventually("chunks are dropped", async () => {
    for (let index = 0; index < 20; index++) ann.emit("media", { track: track.id, ts: 0 }, Buffer.alloc(100_000));
    return (await metrics(nodes[0]))['weir_egress_dropped_total{kind="data",reason="slow"}'] > 0;
  });
  const now = await metrics(nodes[0]);
  assert.equal(now.weir_egress_queue_sessions, 1);
  assert.ok(now.weir_egress_queue_size_bytes > 100_000 && now.weir_egress_queue_age_seconds > 0);
});
