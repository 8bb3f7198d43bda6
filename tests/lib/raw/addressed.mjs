import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";

/** Client with a source address of its own in the loopback's range. */
export class Addressed {
  #t;
  #url;
  #agent;

  constructor(t, url, address) {
    this.#t = t;
    this.#url = new URL(url);
    this.address = address;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
    atEnd(t, async () => this.#agent.destroy());
  }

  /** Requests a WebSocket; resolves with the response's status and body, and with the socket if it is one. */
  websocket(headers = {}) {
    return this.#ask("GET", "/socket.io/?EIO=4&transport=websocket", {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
      ...headers,
    });
  }

  /** Opens a long-polling session; resolves with the response's status and body. */
  polling(headers = {}) {
    return this.#ask("GET", "/socket.io/?EIO=4&transport=polling", headers, this.#agent);
  }

  #ask(method, path, headers, agent = false) {
    const { hostname, port } = this.#url;
    const asked = request({ hostname, port, method, path, headers, agent, localAddress: this.address });
    const answered = new Promise((resolve, reject) => {
      asked.once("error", reject);
      asked.once("upgrade", ({ statusCode: status }, socket) => {
        socket.on("error", () => {});
        atEnd(this.#t, async () => socket.destroy());
        socket.resume();
        resolve({ status, body: "", socket });
      });
      asked.once("response", (answer) => {
        let body = "";
        answer.on("data", (text) => (body += text));
        answer.once("end", () => resolve({ status: answer.statusCode, body }));
      });
    });
    asked.end();
    return within(`${this.address} is answered`, answered);
  }
}
