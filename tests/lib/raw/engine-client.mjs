import { Socket } from "engine.io-client";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";

/** Client that writes Socket.IO packets by hand, over the stock Engine.IO client. */
export class RawClient {
  #socket;
  #heard = [];
  #waiting = [];

  constructor(socket) {
    this.#socket = socket;
    socket.on("message", (message) => {
      this.#heard.push(message);
      this.#waiting.shift()?.();
    });
    this.closed = new Promise((resolve) => socket.once("close", resolve));
  }

  /** Connects to the namespace over `transport`; closes at the end of the test `t`. */
  static async connect(t, url, transport) {
    const socket = new Socket(url, { path: "/socket.io/", transports: [transport] });
    atEnd(t, () => socket.close());
    const client = new RawClient(socket);
    client.send("0");
    await client.receive();
    return client;
  }

  /** Sends a packet: its text, then its attachments. */
  send(text, ...attachments) {
    for (const part of [text, ...attachments]) this.#socket.send(part);
  }

  /** Resolves with the next message, without Engine.IO's type. */
  async receive() {
    if (this.#heard.length === 0) {
      const gone = this.closed.then((reason) => {
        throw new Error(`closed: ${reason}`);
      });
      const next = new Promise((resolve) => this.#waiting.push(resolve));
      await within("a message comes", Promise.race([next, gone]));
    }
    return this.#heard.shift();
  }
}
