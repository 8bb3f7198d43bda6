// Answers to unusual or invalid Engine.IO requests and WebSocket handshakes.
//
// From socketio/socket.io#4051 (the version of the protocol), socketio/engine.io#211 (codes of errors),
// cesanta/mongoose#257 (subprotocols), gorilla/websocket#915 and oven-sh/bun#35298 (versions, keys and
// headers of handshakes), zishang520/socket.io#48 and socketio/socket.io#2922 (the client's file).
import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { EngineSession, openWebSocket } from "../../lib/raw/engine-session.mjs";
import { within } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { ask, RawConnection } from "../../lib/raw/http.mjs";

const OPEN = "EIO=4&transport=polling";
const SOCKET = "EIO=4&transport=websocket";

const HANDSHAKE = {
  Connection: "keep-alive, Upgrade",
  Upgrade: "websocket",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
};

function without(name) {
  const { [name]: _, ...others } = HANDSHAKE;
  return others;
}

test("invalid Engine.IO requests get the stock server's errors", async (t) => {
  const { url } = await startNode(t);
  const TRANSPORT = { code: 0, message: "Transport unknown" };
  const SESSION = { code: 1, message: "Session ID unknown" };
  const METHOD = { code: 2, message: "Bad handshake method" };
  const REQUEST = { code: 3, message: "Bad request" };
  const VERSION = { code: 5, message: "Unsupported protocol version" };
  for (const [method, query, error] of [
    ["GET", "", TRANSPORT],
    ["GET", "?EIO=4", TRANSPORT],
    ["GET", "?EIO=4&transport=tcp", TRANSPORT],
    ["GET", "?EIO=4&transport=webtransport", TRANSPORT],
    ["GET", "?EIO=3&transport=polling", VERSION],
    ["GET", "?transport=polling", VERSION],
    ["GET", "?EIO=3&transport=websocket", VERSION],
    ["POST", `?${OPEN}`, METHOD],
    ["HEAD", `?${OPEN}`, METHOD],
    ["OPTIONS", `?${OPEN}`, METHOD],
    ["PUT", `?${SOCKET}`, METHOD],
    ["GET", `?${OPEN}&j=0`, REQUEST],
    ["GET", `?${OPEN}&sid=nobody`, SESSION],
    ["GET", `?${OPEN}&sid=`, SESSION],
    ["POST", `?${OPEN}&sid=AAAAAAAAAAAAAAAA`, SESSION],
  ]) {
    const { status, headers, body } = await ask(`${url}/socket.io/${query}`, { method });
    const what = `${method} ${query}`;
    assert.equal(status, 400, what);
    assert.equal(headers["content-type"], "application/json", what);
    if (method !== "HEAD") assert.deepEqual(JSON.parse(body), error, what);
  }
  const unknown = await ask(`${url}/socket.io/?${SOCKET}&sid=nobody`, { headers: HANDSHAKE });
  assert.deepEqual([unknown.status, JSON.parse(unknown.body)], [400, SESSION]);
});

test("a session answers GET and POST, with or without b64, and nothing else", async (t) => {
  const { url } = await startNode(t);
  const session = await EngineSession.open(url, "&b64=1");
  await session.connect();
  for (const method of ["HEAD", "OPTIONS", "PUT", "DELETE"]) {
    const { status, headers } = await ask(session.path, { method });
    assert.deepEqual([status, headers.allow], [405, "GET, POST"], method);
  }
  assert.equal((await session.ask(0, "room:create")).ok, true);
});

test("a WebSocket gets the first offered subprotocol", async (t) => {
  const { url } = await startNode(t);
  const address = `${url.replace("http", "ws")}/socket.io/?${SOCKET}`;
  for (const [offered, chosen] of [
    [[], ""],
    [["chat"], "chat"],
    [["v2.chat", "v1.chat"], "v2.chat"],
  ]) {
    const socket = await openWebSocket(t, address, offered);
    assert.equal(socket.protocol, chosen);
    assert.equal((await socket.next())[0], "0");
  }
  for (const malformed of ["a b", "a, a", "a,", "a/b"]) {
    const headers = { ...HANDSHAKE, "Sec-WebSocket-Protocol": malformed };
    assert.equal((await ask(`${url}/socket.io/?${SOCKET}`, { headers })).status, 400, malformed);
  }
  for (const transports of [["websocket"], ["polling", "websocket"]]) {
    const client = io(url, { forceNew: true, transports, protocols: ["chat"] });
    atEnd(t, () => client.close());
    const { engine } = client.io;
    if (transports.length > 1) await within("it upgrades", new Promise((resolve) => engine.once("upgrade", resolve)));
    if (!client.connected) await within("it connects", new Promise((resolve) => client.once("connect", resolve)));
    assert.equal(engine.transport.ws.protocol, "chat");
  }
});

test("a handshake of another version gets the supported version", async (t) => {
  const { url } = await startNode(t);
  for (const headers of [
    ...["8", "12", "14", "13, 8"].map((version) => ({ ...HANDSHAKE, "Sec-WebSocket-Version": version })),
    without("Sec-WebSocket-Version"),
  ]) {
    const answer = await ask(`${url}/socket.io/?${SOCKET}`, { headers });
    assert.equal(answer.status, 426);
    assert.equal(answer.headers["sec-websocket-version"], "13");
    assert.match(answer.headers.upgrade, /websocket/i);
  }
});

test("a malformed handshake is refused, and its session continues", async (t) => {
  const { url } = await startNode(t);
  const session = await EngineSession.open(url);
  await session.connect();
  const keys = ["", "x", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZTE2Yg==", "dGhlIHNhbXBsZSBub25j!Q=="];
  for (const headers of [
    ...keys.map((key) => ({ ...HANDSHAKE, "Sec-WebSocket-Key": key })),
    without("Sec-WebSocket-Key"),
    without("Upgrade"),
    { ...without("Connection"), Connection: "keep-alive" },
    { ...HANDSHAKE, Upgrade: "h2c" },
  ]) {
    for (const sid of ["", `&sid=${session.sid}`]) {
      const { status, body } = await ask(`${url}/socket.io/?${SOCKET}${sid}`, { headers });
      assert.equal(status, 400, JSON.stringify(headers));
      assert.equal(JSON.parse(body).code, 3);
    }
  }
  const old = await RawConnection.open(t, url);
  const lines = Object.entries(HANDSHAKE).map(([name, value]) => `${name}: ${value}\r\n`);
  old.write(`GET /socket.io/?${SOCKET} HTTP/1.0\r\nHost: weir\r\n${lines.join("")}\r\n`);
  assert.match(await old.hears("\r\n\r\n"), /^HTTP\/1\.[01] 400 /);
  assert.equal((await session.ask(0, "room:create")).ok, true);
});

test("unknown paths below Socket.IO's are 404, and client files name the client's source", async (t) => {
  const { url } = await startNode(t);
  for (const path of ["/socket.io/foo", "/socket.io/foo/", `/socket.io/foo?${OPEN}`, "/socket.iox", `/socket.iox/?${OPEN}`]) {
    for (const method of ["GET", "POST"]) {
      assert.equal((await ask(`${url}${path}`, { method })).status, path.includes("iox") && method === "POST" ? 405 : 404, path);
    }
  }
  for (const file of ["socket.io.js", "socket.io.min.js", "socket.io.js.map", "socket.io.msgpack.min.js", "socket.io.esm.min.js"]) {
    const { status, headers, body } = await ask(`${url}/socket.io/${file}`);
    assert.equal(status, 404, file);
    assert.match(headers["content-type"], /^text\/plain/);
    assert.match(body, /socket\.io-client/);
    assert.equal(body.trim().split("\n").length, 1);
  }
  assert.equal((await ask(`${url}/socket.io?${OPEN}`)).status, 200);
});
