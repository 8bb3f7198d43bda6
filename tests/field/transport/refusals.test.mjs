// Connections over a limit: each gets a refusal, whatever it sends and whenever.
// From gwsystems/sledge-serverless-framework#389 and scylladb/seastar#1325 (a close that discards the
// response).
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { metrics } from "../../lib/servers/metrics.mjs";
import { eventually, within } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { RawWebSocket } from "../../lib/raw/websocket.mjs";

const LIMIT = 4;

const GET = "GET / HTTP/1.1\r\nhost: weir\r\n\r\n";

const HANDSHAKE = [
  "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
  "host: weir",
  "connection: Upgrade",
  "upgrade: websocket",
  "sec-websocket-version: 13",
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
  "\r\n",
].join("\r\n");

const POST = `POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: weir\r\ncontent-length: 3000\r\n\r\n${"x".repeat(3000)}`;

/** First bytes of a TLS client. */
const HELLO = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), Buffer.alloc(506, 7)]);

const TOTAL = `over the limit of ${LIMIT} connections`;
const PER_ADDRESS = `${TOTAL} from one address`;

/** Starts a node that is at its connection limit, in total or for this address. */
async function fullNode(t, key = "WEIR_SERVER__MAX_CONNECTIONS", env = {}) {
  const node = await startNode(t, { [key]: String(LIMIT), ...env });
  for (let index = 0; index < LIMIT; index++) {
    const client = await RawWebSocket.connect(node.url);
    atEnd(t, () => client.destroy());
  }
  return node;
}

/** Opens a connection, sends `said` if any, and reads to the end. Resolves with all received data. */
async function answer(node, said, { end = false } = {}) {
  const { hostname, port } = new URL(node.url);
  const socket = connect({ host: hostname, port });
  let text = "";
  socket.on("data", (data) => (text += data));
  const closed = new Promise((resolve, reject) => {
    socket.once("close", resolve);
    socket.once("error", reject);
  });
  closed.catch(() => {});
  await once(socket, "connect");
  if (said) socket.write(said);
  if (end) socket.end();
  await within("it is closed", closed);
  return text;
}

/** Returns a node's log lines about refusals. */
const told = (node) =>
  node.logs
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ message }) => message === "connections are refused");

function assertRefused(text, why) {
  const [head, body] = text.split("\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 503 /, text);
  assert.match(head, /^retry-after: \d+$/m);
  assert.equal(body, `${why}\n`);
}

for (const [what, said] of Object.entries({ GET, HANDSHAKE, POST, HELLO, garbage: "?\r\n", nothing: "" })) {
  test(`over the total limit, ${what} is answered with 503 and the limit`, async (t) => {
    const node = await fullNode(t);
    assertRefused(await answer(node, said), TOTAL);
    if (said) assertRefused(await answer(node, said, { end: true }), TOTAL);
  });
}

test("over an address's limit, answer and metric name the limit", async (t) => {
  const node = await fullNode(t, "WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS");
  for (const said of [GET, HANDSHAKE, POST]) assertRefused(await answer(node, said), PER_ADDRESS);
  const now = await metrics(node);
  assert.equal(now['weir_connection_refused_total{reason="per-address"}'], 3);
  assert.equal(now['weir_connection_refused_total{reason="total"}'], 0);
});

test("a late request is answered", async (t) => {
  const node = await fullNode(t);
  const { hostname, port } = new URL(node.url);
  const socket = connect({ host: hostname, port });
  atEnd(t, () => socket.destroy());
  await once(socket, "connect");
  let text = "";
  socket.on("data", (data) => (text += data));
  const closed = once(socket, "close");
  socket.write("GET / HTTP/1.1\r\n");
  // More connections are refused meanwhile.
  for (let index = 0; index < 20; index++) assertRefused(await answer(node, GET), TOTAL);
  assert.equal(text, "", "it is not answered before it has asked");
  socket.write("host: weir\r\n\r\n");
  await within("it is closed", closed);
  assertRefused(text, TOTAL);
});

test("a refused connection with an incomplete request is answered when the node stops", async (t) => {
  const node = await fullNode(t);
  const answered = answer(node, "GET / HTTP/1.1\r\n");
  await eventually("it is refused", async () => (await metrics(node))['weir_connection_refused_total{reason="total"}'] === 1);
  node.signal("SIGINT");
  assertRefused(await answered, TOTAL);
});

test("a thousand simultaneous refusals are answered, counted and logged once a second", async (t) => {
  const node = await fullNode(t);
  const begun = Date.now();
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => answer(node, GET)));
  for (const text of answers) assertRefused(text, TOTAL);
  assert.equal((await metrics(node))['weir_connection_refused_total{reason="total"}'], 1_000);
  const count = () => told(node).reduce((sum, line) => sum + line.count, 0);
  await eventually("all are in the log", () => count() === 1_000);
  const seconds = (Date.now() - begun) / 1_000;
  assert.ok(told(node).length <= seconds + 2, `${told(node).length} lines in ${seconds} s`);
  const { level, reason, key, limit, address } = told(node)[0];
  const expected = ["WARN", "total", "server.max_connections", LIMIT, "127.0.0.1"];
  assert.deepEqual([level, reason, key, limit, address], expected);
});

test("idle refused connections neither block other refusals nor use up the node", async (t) => {
  const node = await fullNode(t);
  const { hostname, port } = new URL(node.url);
  const before = (await metrics(node)).process_open_fds;
  const silent = [];
  // Exceeds the number of pending responses: the oldest connections get theirs before they send a request.
  for (let index = 0; index < 1_500; index++) {
    const socket = connect({ host: hostname, port });
    socket.text = "";
    socket.on("data", (data) => (socket.text += data)).on("error", () => {});
    atEnd(t, () => socket.destroy());
    silent.push(socket);
    if (index % 100 === 99) await once(socket, "connect");
  }
  assertRefused(await answer(node, GET), TOTAL);
  const { process_open_fds: files } = await metrics(node);
  assert.ok(files - before < 1_100, `${files - before} files more`);
  await eventually("the first have their answer", () => silent.slice(0, 400).every(({ text }) => text.endsWith(`${TOTAL}\n`)));
  await eventually("all have", () => silent.every(({ text }) => text.endsWith(`${TOTAL}\n`)));
  assert.doesNotMatch(node.logs, /panicked/);
});

test("the startup log states the limits of connections", async (t) => {
  const said = ({ logs }) => logs.split("\n").find((line) => line.includes("server.trusted_proxies"));
  const { limit, max_connections: total } = JSON.parse(said(await startNode(t)));
  assert.deepEqual([limit, total], [5_000, 10_000]);
  const trusting = await startNode(t, { WEIR_SERVER__TRUSTED_PROXIES: "127.0.0.1" });
  const unlimited = await startNode(t, { WEIR_SERVER__MAX_CONNECTIONS_PER_ADDRESS: "0" });
  for (const node of [trusting, unlimited]) assert.equal(said(node), undefined);
});
