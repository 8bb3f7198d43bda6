// Valid and invalid PROXY protocol headers.
// From haproxy/haproxy#511, pires/go-proxyproto#12 and kanidm/kanidm#3866 (LOCAL, which health checks send),
// and esl/MongooseIM#4795 (a malformed header).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { metrics } from "../../lib/servers/metrics.mjs";
import { eventually, within } from "../../lib/harness/eventually.mjs";
import { BINARY, startNode } from "../../lib/servers/node.mjs";

const REQUEST = "GET / HTTP/1.1\r\nhost: weir\r\nconnection: close\r\n\r\n";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** Builds a version 2 header. */
function binary(command, family, rest = Buffer.alloc(0)) {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(rest.length);
  return Buffer.concat([SIGNATURE, Buffer.from([0x20 | command, family]), length, rest]);
}

const IPV4 = Buffer.from([192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
const MORE = Buffer.from([0xe0, 0, 3, 1, 2, 3]);

const start = (t, env = {}) =>
  startNode(t, {
    WEIR_SERVER__TRUSTED_PROXIES: "127.0.0.1/32",
    WEIR_SERVER__PROXY_PROTOCOL: "required",
    ...env,
  });

/** Sends the pieces one after the other, each in packets of its own. Resolves with all received data. */
async function exchange(node, pieces, localAddress = "127.0.0.1") {
  const { hostname, port } = new URL(node.url);
  const socket = connect({ host: hostname, port, localAddress, noDelay: true });
  let text = "";
  socket.on("data", (data) => (text += data)).on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await once(socket, "connect");
  for (const piece of pieces) await new Promise((resolve) => socket.write(piece, resolve));
  await within("it is closed", closed);
  return text;
}

const malformed = async (node) => (await metrics(node))['weir_connection_refused_total{reason="proxy-header"}'];

test("valid headers of both versions are accepted, whole and in pieces", async (t) => {
  const node = await start(t);
  for (const header of [
    Buffer.from("PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n"),
    Buffer.from("PROXY TCP6 2001:db8::1 fd00::1 4711 80\r\n"),
    Buffer.from("PROXY UNKNOWN\r\n"),
    binary(1, 0x11, IPV4),
    binary(1, 0x11, Buffer.concat([IPV4, MORE])),
    binary(1, 0x00),
    // Health checks, with or without addresses, which are ignored.
    binary(0, 0x00),
    binary(0, 0x11, IPV4),
  ]) {
    const whole = await exchange(node, [Buffer.concat([header, Buffer.from(REQUEST)])]);
    assert.match(whole, /^HTTP\/1\.1 200 /, header.toString("latin1"));
    const pieces = [...header].map((byte) => Buffer.from([byte]));
    assert.match(await exchange(node, [...pieces, REQUEST]), /^HTTP\/1\.1 200 /, header.toString("latin1"));
  }
  assert.equal(await malformed(node), 0);
});

test("a trusted proxy without a valid header is closed, counted and logged", async (t) => {
  const node = await start(t);
  const bad = [
    REQUEST,
    "PROXY TCP4 192.0.2.1\r\n",
    "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n\n",
    `PROXY UNKNOWN ${"x".repeat(200)}\r\n`,
    binary(1, 0x11, IPV4.subarray(0, 6)),
    binary(3, 0x11, IPV4),
    Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff]), Buffer.alloc(100)]),
  ];
  for (const header of bad) assert.equal(await exchange(node, [header, REQUEST]), "", header.toString("latin1"));
  assert.equal(await malformed(node), bad.length);
  await eventually("it is logged", () => /"message":"connections are refused".*"reason":"proxy-header"/.test(node.logs));
});

test("a missing header times out", async (t) => {
  const node = await start(t, { WEIR_SERVER__HEADER_TIMEOUT_MS: "200" });
  assert.equal(await exchange(node, ["PROXY TCP4 192.0.2.1 "]), "");
  assert.equal(await exchange(node, []), "");
  assert.equal(await malformed(node), 2);
});

test("untrusted clients are served without a header and refused with one", async (t) => {
  const node = await start(t);
  assert.match(await exchange(node, [REQUEST], "127.0.0.7"), /^HTTP\/1\.1 200 /);
  const forged = `PROXY TCP4 6.6.6.6 10.0.0.1 4711 80\r\n${REQUEST}`;
  assert.match(await exchange(node, [forged], "127.0.0.7"), /^HTTP\/1\.1 400 /);
});

test("PROXY protocol without trusted proxies is refused", () => {
  const { status, stderr } = spawnSync(BINARY, ["config"], { env: { WEIR_SERVER__PROXY_PROTOCOL: "required" }, encoding: "utf8" });
  assert.equal(status, 2, stderr);
  assert.match(stderr, /server\.proxy_protocol = "required".*server\.trusted_proxies/);
});
