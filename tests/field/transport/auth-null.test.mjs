// Null fields of `auth` count as omitted; clients without a token send them.
// Report: socketio/socket.io#4972 (a token that was set arrives as null).
import assert from "node:assert/strict";
import { test } from "node:test";
import { io } from "socket.io-client";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { within } from "../../lib/harness/eventually.mjs";
import { startNode } from "../../lib/servers/node.mjs";

/** Connects a stock client with `auth`. Resolves with `undefined`, or with the error if it is refused. */
function connected(t, url, auth, transports) {
  const socket = io(url, { auth, transports, forceNew: true, reconnection: false });
  atEnd(t, () => socket.close());
  const outcome = new Promise((resolve) => {
    socket.once("connect", () => resolve());
    socket.once("connect_error", resolve);
  });
  return within(`an answer to ${JSON.stringify(auth)}`, outcome);
}

test("null tokens and traceparents count as omitted, other types are refused", async (t) => {
  const node = await startNode(t);
  for (const transports of [["websocket"], ["polling"]]) {
    for (const auth of [{ token: null }, { traceparent: null }, { token: null, traceparent: null }, { token: undefined }, {}]) {
      assert.equal(await connected(t, node.url, auth, transports), undefined, JSON.stringify(auth));
    }
    // Frameworks forward what they have, which may be a function that yields null.
    assert.equal(await connected(t, node.url, (say) => say(null), transports), undefined);
    for (const auth of [{ token: 1 }, { token: [] }, { traceparent: {} }]) {
      const { message } = await connected(t, node.url, auth, transports);
      assert.match(message, /^bad_request: (token|traceparent): must be a string/);
    }
  }
});
