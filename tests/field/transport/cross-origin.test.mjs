// Cross-origin pages: long-polling needs the node's consent (CORS), a WebSocket does not.
//
// From socketio/engine.io#211 (errors that a page cannot read), socketio/socket.io#3637 (Vary) and
// socketio/socket.io#3415 (origins that are not allowed).
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { openWebSocket } from "../../lib/raw/engine-session.mjs";
import { BINARY, startNode } from "../../lib/servers/node.mjs";
import { ask } from "../../lib/raw/http.mjs";

const OPEN = "EIO=4&transport=polling";
const APP = "https://app.example";
const DEVELOPMENT = "http://localhost:5173";

function allowed({ headers }) {
  return headers["access-control-allow-origin"];
}

test("without server.cors_origins there are no CORS headers", async (t) => {
  const { url } = await startNode(t);
  const answer = await ask(`${url}/socket.io/?${OPEN}`, { headers: { Origin: APP } });
  assert.equal(answer.status, 200);
  assert.equal(allowed(answer), undefined);
  const preflight = { Origin: APP, "Access-Control-Request-Method": "POST" };
  const asked = await ask(`${url}/socket.io/?${OPEN}`, { method: "OPTIONS", headers: preflight });
  assert.equal(allowed(asked), undefined);
});

test("configured origins may read every response with cookies, others none", async (t) => {
  const { url } = await startNode(t, { WEIR_SERVER__CORS_ORIGINS: `${APP}, ${DEVELOPMENT}` });
  for (const path of [`/socket.io/?${OPEN}`, `/socket.io/?${OPEN}&sid=nobody`, "/socket.io/?EIO=4", "/socket.io/none"]) {
    for (const origin of [APP, DEVELOPMENT]) {
      const answer = await ask(`${url}${path}`, { headers: { Origin: origin } });
      assert.equal(allowed(answer), origin, path);
      assert.equal(answer.headers["access-control-allow-credentials"], "true");
      assert.match(answer.headers.vary, /\borigin\b/i);
      assert.equal(answer.headers["cache-control"], "no-store");
    }
    for (const origin of ["https://evil.example", `${APP}.evil.example`, "http://app.example", "null", undefined]) {
      const answer = await ask(`${url}${path}`, { headers: origin ? { Origin: origin } : {} });
      assert.equal(allowed(answer), undefined, `${origin} ${path}`);
      assert.match(answer.headers.vary, /\borigin\b/i);
    }
  }
  const preflight = {
    Origin: APP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-mine",
  };
  const { status, headers, body } = await ask(`${url}/socket.io/?${OPEN}&sid=x`, { method: "OPTIONS", headers: preflight });
  assert.ok(status === 200 || status === 204, String(status));
  assert.equal(body, "");
  assert.equal(headers["access-control-allow-origin"], APP);
  assert.match(headers["access-control-allow-methods"], /GET.*POST/);
  assert.equal(headers["access-control-allow-headers"], "content-type,x-mine");
  assert.equal(allowed(await ask(url, { headers: { Origin: APP } })), undefined, "the app is not Socket.IO");
});

test("a wildcard allows every origin without cookies", async (t) => {
  const { url } = await startNode(t, { WEIR_SERVER__CORS_ORIGINS: "*" });
  const answer = await ask(`${url}/socket.io/?${OPEN}`, { headers: { Origin: APP } });
  assert.equal(allowed(answer), "*");
  assert.equal(answer.headers["access-control-allow-credentials"], undefined);
});

test("WebSockets open from any origin, as with stock servers", async (t) => {
  for (const env of [{}, { WEIR_SERVER__CORS_ORIGINS: APP }]) {
    const { url } = await startNode(t, env);
    const address = `${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
    const socket = await openWebSocket(t, address, [], { origin: "https://evil.example" });
    assert.equal((await socket.next())[0], "0");
  }
});

test("an invalid list of origins is refused", () => {
  for (const wrong of ["https://app.example/", "app.example", "*, https://app.example", "https://App.example", "https://app.example:443"]) {
    const env = { PATH: process.env.PATH, WEIR_SERVER__CORS_ORIGINS: wrong };
    const { status, stderr } = spawnSync(BINARY, ["config"], { env, encoding: "utf8" });
    assert.equal(status, 2, wrong);
    assert.match(stderr, /server\.cors_origins .*must be a list of origins/s);
  }
});
