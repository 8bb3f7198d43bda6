// Operations: the operations listener, misconfiguration, and error output.
// From mullvad/mullvadvpn-app#7105 and libp2p/rust-libp2p#2533 (an error that is printed twice), and
// directus/directus#2709 (a variable that does nothing).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { temporaryFolder } from "../../lib/harness/folder.mjs";
import { eventually, within } from "../../lib/harness/eventually.mjs";
import { BINARY, startNode } from "../../lib/servers/node.mjs";

const weir = (args, env = {}) => spawnSync(BINARY, args, { env: { PATH: process.env.PATH, ...env }, encoding: "utf8" });

/** Opens a connection to the operations listener, and records what it receives. */
async function caller(t, node) {
  const { hostname, port } = new URL(node.opsUrl);
  const socket = connect({ host: hostname, port });
  atEnd(t, async () => socket.destroy());
  const call = { socket, text: "", closed: new Promise((resolve) => socket.once("close", resolve)) };
  socket.on("data", (data) => (call.text += data)).on("error", () => {});
  await once(socket, "connect");
  return call;
}

test("the operations listener's default port is not Prometheus' port", () => {
  assert.match(weir(["config"]).stdout, /^ops_listen = "127\.0\.0\.1:8081"/m);
  assert.match(weir(["status"]).stderr, /http:\/\/127\.0\.0\.1:8081/);
  assert.match(weir(["serve", "--help"]).stdout, /\[default: 127\.0\.0\.1:8081\]/);
});

test("the operations listener closes connections with an incomplete request head", async (t) => {
  const node = await startNode(t, { WEIR_SERVER__HEADER_TIMEOUT_MS: "200" });
  for (const said of ["", "GET /livez HTTP/1.1\r\nhost:"]) {
    const call = await caller(t, node);
    call.socket.write(said);
    await within("it is closed", call.closed, 10_000);
    assert.doesNotMatch(call.text, /^HTTP\/1\.1 200/);
  }
  // An idle keep-alive connection does not stay open either.
  const call = await caller(t, node);
  call.socket.write("GET /livez HTTP/1.1\r\nhost: weir\r\n\r\n");
  await within("it is closed", call.closed, 10_000);
  assert.match(call.text, /^HTTP\/1\.1 200/);
});

test("the operations listener refuses connections above its limit with an answer", async (t) => {
  const node = await startNode(t, { WEIR_SERVER__HEADER_TIMEOUT_MS: "60000" });
  const holders = [];
  for (let index = 0; index < 128; index++) holders.push(await caller(t, node));
  const late = await caller(t, node);
  late.socket.write("GET /livez HTTP/1.1\r\nhost: weir\r\n\r\n");
  await within("it is told", late.closed);
  assert.match(late.text, /^HTTP\/1\.1 503 .*over the limit of 128 connections to this listener\n$/s);
  for (const { socket } of holders) socket.destroy();
  await eventually("it answers again", async () => (await fetch(`${node.opsUrl}/livez`)).ok);
});

test("the client listener serves no operations endpoint", async (t) => {
  const node = await startNode(t);
  for (const path of ["/metrics", "/livez", "/readyz"]) {
    assert.equal((await fetch(`${node.opsUrl}${path}`)).status, 200, path);
    for (const method of ["GET", "HEAD"]) {
      assert.equal((await fetch(`${node.url}${path}`, { method })).status, 404, path);
    }
  }
});

test("the output of `weir config` is a valid file, apart from redacted secrets", async (t) => {
  const file = join(await temporaryFolder(t, "operations"), "weir.toml");
  const plain = weir(["config"], { WEIR_LIMITS__NAME_CHARS: "9" });
  await writeFile(file, plain.stdout);
  const again = weir(["config", "--config", file]);
  assert.match(again.stdout, /^name_chars = 9 /m, again.stderr);

  const secret = weir(["config"], { WEIR_REDIS__BUS_URL: "redis://weir:hunter2@r:1", WEIR_REDIS__URL: "redis://r:1" });
  assert.doesNotMatch(secret.stdout, /hunter2/);
  assert.match(secret.stdout, /^bus_url = "redis:\/\/\*\*\*@r:1" .*# env WEIR_REDIS__BUS_URL; \*\*\* replaces a secret/m);
  await writeFile(file, secret.stdout);
  for (const command of ["config", "serve"]) {
    const { status, stderr } = weir([command, "--config", file]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, /redis\.bus_url = "redis:\/\/\*\*\*@r:1" \(file .*\): `weir config` replaced this secret by/);
  }
});

test("misspelt variables are refused with the right name", () => {
  for (const [name, right] of [
    ["WEIR_LISTEN", "WEIR_SERVER__LISTEN"],
    ["WEIR_SERVER_LISTEN", "WEIR_SERVER__LISTEN"],
    ["weir_server__listen", "WEIR_SERVER__LISTEN"],
    ["WEIR_OPS_LISTEN", "WEIR_SERVER__OPS_LISTEN"],
    ["WEIR_REDIS_URL", "WEIR_REDIS__URL"],
    ["WEIR_MAX_CONNECTIONS", "WEIR_SERVER__MAX_CONNECTIONS"],
    ["WEIR_TRUSTED_PROXIES", "WEIR_SERVER__TRUSTED_PROXIES"],
    ["WEIR_OTLP_ENDPOINT", "WEIR_TELEMETRY__OTLP_ENDPOINT"],
    ["WEIR_LOG", "WEIR_LOG__FILTER"],
  ]) {
    for (const command of ["config", "serve"]) {
      const { status, stderr } = weir([command], { [name]: "x" });
      assert.equal(status, 2, `${name}: ${stderr}`);
      assert.ok(stderr.includes(`${name} = "x" (environment)`) && stderr.includes(`did you mean ${right}?`), stderr);
    }
  }
  const ours = { WEIR_BIN: "x", WEIR_CHROMIUM: "x", WEIR_TEST_SEED: "1", WEIR_HOME: "/", WEIR_PORT: "tcp://10.0.0.1:80" };
  assert.equal(weir(["config"], ours).status, 0);
});

test("the operating system's error is printed once, whatever fails", async (t) => {
  const path = await temporaryFolder(t, "operations");
  const unreadable = join(path, "weir.toml");
  await writeFile(unreadable, Buffer.from([0xff, 0xfe]));
  await chmod(path, 0o700);
  const node = await startNode(t);
  const [taken, ops] = [node.url, node.opsUrl].map((url) => new URL(url).host);
  const free = "127.0.0.1:0";
  for (const [args, reason] of [
    [["serve", "--listen", taken, "--ops-listen", free], /Address already in use/g],
    [["serve", "--listen", free, "--ops-listen", ops], /Address already in use/g],
    [["serve", "--listen", "192.0.2.1:0", "--ops-listen", free], /Cannot assign requested address/g],
    [["serve", "--config", join(path, "nowhere")], /No such file or directory/g],
    [["config", "--config", join(path, "nowhere")], /No such file or directory/g],
    [["serve", "--config", path], /Is a directory/g],
    [["serve", "--config", unreadable], /valid UTF-8/g],
    [["serve", "--redis-url", "redis://[::1"], /invalid IPv6 address/g],
    [["status", "127.0.0.1:1"], /Connection refused/g],
    [["probe", "127.0.0.1:1"], /Connection refused/g],
  ]) {
    const { status, stderr } = weir(args);
    assert.notEqual(status, 0);
    assert.equal(stderr.match(reason)?.length, 1, `${args.join(" ")}: ${stderr}`);
    assert.ok((stderr.match(/os error/g) ?? []).length <= 1, stderr);
  }
});
