// Manual Engine.IO long-polling, for behaviour that stock clients lack.
import assert from "node:assert/strict";
import { WebSocket } from "ws";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";

const SEPARATOR = "\x1e";

/** Session that polls on demand. */
export class EngineSession {
  constructor(url, opened) {
    this.url = url;
    Object.assign(this, opened);
    this.path = `${url}/socket.io/?EIO=4&transport=polling&sid=${this.sid}`;
  }

  /** Opens a session; `query` is appended to its URL. */
  static async open(url, query = "") {
    const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling${query}`);
    assert.equal(answer.status, 200);
    const text = await answer.text();
    assert.equal(text[0], "0");
    return new EngineSession(url, JSON.parse(text.slice(1)));
  }

  /** Polls once; resolves with the packets. */
  async poll() {
    const answer = await within("the poll is answered", fetch(this.path));
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return text.split(SEPARATOR);
  }

  /** Polls until a packet satisfies `matches`, and returns it; answers pings. */
  async until(matches) {
    for (;;) {
      for (const packet of await this.poll()) {
        if (packet === "2") await this.send("3");
        else if (matches(packet)) return packet;
      }
    }
  }

  async send(...packets) {
    const answer = await fetch(this.path, { method: "POST", body: packets.join(SEPARATOR) });
    assert.equal(answer.status, 200, await answer.text());
  }

  /** Connects to the namespace. */
  async connect() {
    await this.send("40");
    return this.until((packet) => packet.startsWith("40"));
  }

  /** Sends an event and returns its acknowledgement. */
  async ask(id, event, ...args) {
    await this.send(`42${id}${JSON.stringify([event, ...args])}`);
    const begin = `43${id}`;
    const packet = await this.until((packet) => packet.startsWith(`${begin}[`));
    return JSON.parse(packet.slice(begin.length))[0];
  }

  /** Opens a WebSocket for the session, without a probe; closes it at the end of the test `t`. */
  async webSocket(t) {
    const address = `${this.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket&sid=${this.sid}`;
    return openWebSocket(t, address);
  }
}

/** Opens a WebSocket. Its `heard` collects the messages, and `next()` resolves with the next one. */
export async function openWebSocket(t, address, protocols, options) {
  const socket = new WebSocket(address, protocols, options);
  atEnd(t, () => socket.terminate());
  socket.heard = [];
  const waiting = [];
  socket.on("message", (message, binary) => {
    socket.heard.push(binary ? message : message.toString());
    waiting.shift()?.();
  });
  let read = 0;
  socket.next = async () => {
    if (read === socket.heard.length) {
      await within("a message comes", new Promise((resolve) => waiting.push(resolve)));
    }
    return socket.heard[read++];
  };
  socket.closed = new Promise((resolve) => socket.once("close", (code) => resolve(code)));
  const opened = new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once("unexpected-response", (_, answer) => reject(Object.assign(new Error("refused"), { answer })));
  });
  socket.on("error", () => {});
  await within("the WebSocket opens", opened);
  return socket;
}
