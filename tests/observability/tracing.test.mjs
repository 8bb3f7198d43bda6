// Telemetry as a real collector receives it, and nodes whose collector is unavailable.
import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { atEnd } from "../lib/harness/at-end.mjs";
import { startCluster } from "../lib/servers/cluster.mjs";
import { metrics } from "../lib/servers/metrics.mjs";
import { startCollector } from "../lib/servers/collector.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

/** Short export intervals. */
const SOON = { OTEL_BSP_SCHEDULE_DELAY: "100", OTEL_BLRP_SCHEDULE_DELAY: "100", OTEL_METRIC_EXPORT_INTERVAL: "200" };
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";

/** Connects a stock client with options that `SocketPeer` lacks. */
async function connect(t, url, label, options) {
  const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false, ...options });
  atEnd(t, () => socket.close());
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return new SocketPeer(label, socket);
}

async function outcomes(node, signal) {
  const all = await metrics(node);
  const of = (outcome) => all[`weir_telemetry_records_total{outcome="${outcome}",signal="${signal}"}`];
  return { made: of("made"), sent: of("sent"), failed: of("failed") };
}

for (const way of ["auth", "header"]) {
  test(`a join is one trace over two nodes, within the client's own (${way})`, async (t) => {
    const collector = await startCollector(t);
    const endpoint = way === "auth" ? { WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc } : { OTEL_EXPORTER_OTLP_ENDPOINT: collector.http, OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" };
    const { nodes: [a, b] } = await startCluster(t, 2, { ...SOON, ...endpoint });
    const bob = await SocketPeer.connect(t, b.url, "websocket", "bob");
    const { room } = await bob.request("room:create");
    await bob.join(room.id);
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    const options = way === "auth" ? { auth: { traceparent } } : { extraHeaders: { traceparent } };
    const ann = await connect(t, a.url, "ann", options);
    await ann.join(room.id);
    await bob.event("member:joined");

    const mine = () => collector.spans.filter((span) => span["Trace ID"] === TRACE);
    const named = (name) => mine().filter((span) => span.Name === name);
    await eventually("all spans have come", () => named("room event").length === 2 && named("room:join").length === 1 && named("connect").length === 1);
    const [connected] = named("connect");
    const [join] = named("room:join");
    const [directory] = named("directory.join");
    const told = named("room event");
    assert.equal(connected["Parent ID"], PARENT);
    assert.equal(join["Parent ID"], connected.ID);
    assert.equal(directory["Parent ID"], join.ID);
    for (const event of told) {
      assert.equal(event["Parent ID"], directory.ID);
      assert.equal(event.attributes["weir.event"], "member:joined");
      assert.equal(event.attributes["weir.room"], room.id);
    }
    assert.equal(connected.instance, join.instance);
    assert.deepEqual(new Set(told.map(({ instance }) => instance)).size, 2, "the event arrived at both nodes");
    assert.ok(told.some(({ instance }) => instance === join.instance));
  });
}

test("one in ten chunks is traced hop by hop with consistent times", async (t) => {
  const collector = await startCollector(t);
  const { nodes: [a, b] } = await startCluster(t, 2, { ...SOON, WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc, WEIR_TELEMETRY__CHUNK_SAMPLING: "10" });
  const [ann, bob] = [await SocketPeer.connect(t, a.url, "websocket", "ann"), await SocketPeer.connect(t, b.url, "websocket", "bob")];
  const { room } = await ann.request("room:create");
  for (const peer of [ann, bob]) await peer.join(room.id);
  const { track } = await ann.request("track:publish", { kind: "audio", codec: "opus" });
  for (let index = 0; index < 50; index++) ann.emit("media", { track: track.id, ts: index }, Buffer.alloc(100));
  await bob.until("has all", () => bob.chunks(track.id).length === 50);
  const named = (name) => collector.spans.filter((span) => span.Name === name);
  // The start of a track may cross the bus again for a new subscriber: the first hop of each kind counts.
  const hopsOf = (chunk) => {
    const all = named("chunk hop").filter((hop) => hop["Trace ID"] === chunk["Trace ID"]);
    const first = all.sort((one, other) => Number(one["Start time"] - other["Start time"])).reverse();
    return Object.fromEntries(first.map((hop) => [hop.attributes["weir.hop"], hop]));
  };
  const complete = (chunk) => ["own", "bus", "remote"].every((hop) => hop in hopsOf(chunk));
  await eventually("all hops have come", () => named("chunk").length === 5 && named("chunk").every(complete));
  const chunks = named("chunk").sort((one, other) => one.attributes["weir.seq"] - other.attributes["weir.seq"]);
  assert.deepEqual(chunks.map((chunk) => chunk.attributes["weir.seq"]), ["10", "20", "30", "40", "50"]);
  for (const chunk of chunks) {
    const { own, bus, remote } = hopsOf(chunk);
    for (const hop of [own, bus, remote]) assert.equal(hop["Parent ID"], chunk.ID);
    assert.ok(remote.instance !== chunk.instance && own.instance === chunk.instance && bus.instance === chunk.instance);
    // Both nodes share one clock; one millisecond is tolerance for reading it at different moments.
    const slack = 1_000_000n;
    assert.ok(own["Start time"] + slack >= chunk["Start time"] && own["End time"] <= chunk["End time"] + slack, "own is the chunk's time at its node");
    assert.ok(bus["Start time"] + slack >= own["End time"], "the bus comes after its own subscribers");
    assert.ok(remote["Start time"] + slack >= bus["Start time"], "and the other node after the bus has begun");
    const whole = remote["End time"] - chunk["Start time"];
    const parts = [own, bus, remote].map((hop) => hop["End time"] - hop["Start time"]);
    t.diagnostic(`chunk ${chunk.attributes["weir.seq"]}: ${whole / 1000n} µs; own ${parts[0] / 1000n}, bus ${parts[1] / 1000n}, remote ${parts[2] / 1000n} µs`);
    assert.ok(parts[0] + parts[2] <= whole + slack, "the parts are not longer than the whole");
    assert.ok(whole < 1_000_000_000n);
  }
});

test("an unsampled chunk is not traced by other nodes", async (t) => {
  const collector = await startCollector(t);
  const { nodes: [a, b] } = await startCluster(t, 2, { ...SOON, OTEL_TRACES_SAMPLER: "parentbased_always_off", WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc, WEIR_TELEMETRY__CHUNK_SAMPLING: "1" });
  const [ann, bob] = [await SocketPeer.connect(t, a.url, "websocket", "ann"), await SocketPeer.connect(t, b.url, "websocket", "bob")];
  const { room } = await ann.request("room:create");
  for (const peer of [ann, bob]) await peer.join(room.id);
  const { track } = await ann.request("track:publish", { kind: "audio", codec: "opus" });
  for (let index = 0; index < 20; index++) ann.emit("media", { track: track.id, ts: index }, Buffer.alloc(100));
  await bob.until("has all", () => bob.chunks(track.id).length === 20);
  for (const node of [a, b]) assert.equal((await outcomes(node, "traces")).made, 0);
});

for (const [signal, shown] of [["metrics", "weir.ingest.chunks"], ["logs", "listening"]]) {
  test(`${signal} arrive`, async (t) => {
    const collector = await startCollector(t, signal);
    const node = await startNode(t, { ...SOON, WEIR_TELEMETRY__OTLP_ENDPOINT: collector.http, WEIR_TELEMETRY__OTLP_PROTOCOL: "http" });
    await eventually(`${shown} is there`, () => collector.lines.some((line) => line.includes(shown)));
    await eventually("and is counted", async () => (await outcomes(node, signal)).sent > 0);
  });
}

/** Returns the median duration of several joins in milliseconds. */
async function joins(peer, room) {
  const times = [];
  for (let turn = 0; turn < 200; turn++) {
    const begun = performance.now();
    await peer.join(room);
    times.push(performance.now() - begun);
    await peer.request("room:leave");
  }
  return times.sort((one, other) => one - other)[times.length / 2];
}

test("an unavailable collector costs neither latency nor memory", async (t) => {
  const collector = await startCollector(t);
  const unhurried = { WEIR_LIMITS__REQUESTS_PER_SECOND: "1000000", WEIR_LIMITS__REQUEST_BURST: "1000000" };
  const node = await startNode(t, { ...SOON, ...unhurried, WEIR_TELEMETRY__OTLP_ENDPOINT: collector.grpc });
  const peer = await SocketPeer.connect(t, node.url, "websocket");
  const { room } = await peer.request("room:create");
  await joins(peer, room.id);
  const there = await joins(peer, room.id);
  await eventually("spans are delivered", async () => (await outcomes(node, "traces")).sent > 0);

  collector.signal("SIGSTOP");
  const { resident: before } = await node.memory();
  const frozen = [];
  for (let turn = 0; turn < 10; turn++) frozen.push(await joins(peer, room.id));
  const waiting = await outcomes(node, "traces");
  const { resident: after } = await node.memory();
  collector.signal("SIGCONT");
  await collector.stop();
  await eventually("failures are counted", async () => (await outcomes(node, "traces")).failed > waiting.failed, 30_000);
  const away = await joins(peer, room.id);
  assert.match(node.logs, /"message":"telemetry cannot be delivered"/);

  await collector.start();
  const { sent } = await outcomes(node, "traces");
  await eventually("spans are delivered again", async () => {
    await peer.join(room.id);
    await peer.request("room:leave");
    return (await outcomes(node, "traces")).sent > sent;
  }, 30_000);
  const slowest = Math.max(...frozen, away);
  const grown = (after - before) / 1024 / 1024;
  t.diagnostic(`a join takes ${there.toFixed(2)} ms; ${slowest.toFixed(2)} ms without a collector; ${grown.toFixed(1)} MiB more; ${JSON.stringify(waiting)} when it had frozen`);
  assert.ok(slowest < 2 * there + 1, "a join is not slower");
  assert.ok(grown < 16, "no more than what may wait is kept");
  assert.ok(waiting.made - waiting.sent - waiting.failed > 0, "what is dropped can be seen");
});
