// Raw HTTP requests, for what `fetch` cannot send.
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";

/** Sends a request with any method and headers; resolves with `{ status, headers, body }`, also for a 101. */
export function ask(url, { method = "GET", headers = {}, body } = {}) {
  const answered = new Promise((resolve, reject) => {
    const asked = request(url, { method, headers, agent: false }, (got) => {
      const parts = [];
      got.on("data", (part) => parts.push(part));
      got.on("end", () => {
        resolve({ status: got.statusCode, headers: got.headers, body: Buffer.concat(parts).toString() });
      });
    });
    asked.on("upgrade", (got, socket) => {
      socket.destroy();
      resolve({ status: got.statusCode, headers: got.headers, body: "" });
    });
    asked.on("error", reject);
    asked.end(body);
  });
  return within(`${method} ${url} is answered`, answered);
}

/** Raw connection; `heard` collects the received text. */
export class RawConnection {
  heard = "";

  static async open(t, url) {
    const { hostname, port } = new URL(url);
    const connection = new RawConnection();
    connection.tcp = connect(Number(port), hostname);
    atEnd(t, () => connection.tcp.destroy());
    connection.tcp.on("error", () => {});
    connection.tcp.on("data", (bytes) => {
      connection.heard += bytes.toString("latin1");
      connection.tcp.emit("heard");
    });
    connection.ended = once(connection.tcp, "close");
    await once(connection.tcp, "connect");
    return connection;
  }

  write(text) {
    this.tcp.write(text);
  }

  /** Waits until the received text contains `text`, returns all of it and clears it. */
  async hears(text) {
    while (!this.heard.includes(text)) await within(`${text} comes`, once(this.tcp, "heard"));
    const { heard } = this;
    this.heard = "";
    return heard;
  }
}
