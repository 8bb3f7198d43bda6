// Keep-alive of a balancer's idle connections.
//
// From nodejs/node#27363.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { within } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";
import { RawConnection } from "../../lib/raw/http.mjs";

const HEADER_MS = 500;
const KEEP_ALIVE_MS = 2_000;
const ENV = { WEIR_SERVER__HEADER_TIMEOUT_MS: String(HEADER_MS), WEIR_SERVER__KEEP_ALIVE_MS: String(KEEP_ALIVE_MS) };

const REQUEST = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: weir\r\n\r\n";

/** Measures the time until the connection closes. */
async function stands(connection) {
  const begun = Date.now();
  await within("the node closes it", connection.ended);
  return Date.now() - begun;
}

test("a connection may idle between requests longer than header_timeout_ms", async (t) => {
  const node = await startNode(t, ENV);
  const connection = await RawConnection.open(t, node.url);
  for (let request = 0; request < 3; request++) {
    connection.write(REQUEST);
    await connection.hears('"sid"');
    // The duration is under test.
    await pause(2 * HEADER_MS);
  }
  connection.write(REQUEST);
  await connection.hears('"sid"');
  const idle = await stands(connection);
  assert.ok(idle >= KEEP_ALIVE_MS - 100 && idle < 2 * KEEP_ALIVE_MS, `it stood for ${idle} ms`);
});

test("each request head must be complete within header_timeout_ms", async (t) => {
  const node = await startNode(t, ENV);
  for (const sent of ["", "GET / HTTP/1.1\r\n"]) {
    const fresh = await RawConnection.open(t, node.url);
    fresh.write(sent);
    const stood = await stands(fresh);
    assert.ok(stood >= HEADER_MS - 100 && stood < KEEP_ALIVE_MS, `it stood for ${stood} ms`);
  }
  const kept = await RawConnection.open(t, node.url);
  kept.write(REQUEST);
  await kept.hears('"sid"');
  await pause(2 * HEADER_MS);
  kept.write("GET / HTTP/1.1\r\n");
  const stood = await stands(kept);
  assert.ok(stood < KEEP_ALIVE_MS, `it stood for ${stood} ms`);
});

test("a poll that waits longer than both timeouts is answered", async (t) => {
  const node = await startNode(t, {
    ...ENV,
    WEIR_SOCKETIO__PING_INTERVAL_MS: String(2 * KEEP_ALIVE_MS),
    WEIR_SOCKETIO__CONNECT_TIMEOUT_MS: String(4 * KEEP_ALIVE_MS),
  });
  const connection = await RawConnection.open(t, node.url);
  connection.write(REQUEST);
  const [, sid] = (await connection.hears('"sid"')).match(/"sid":"([^"]+)"/);
  connection.write(`GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: weir\r\n\r\n`);
  assert.match(await connection.hears("\r\n\r\n2"), /^HTTP\/1\.1 200 /);
});
