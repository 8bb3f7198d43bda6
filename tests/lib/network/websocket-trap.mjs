// Proxy that forwards HTTP and breaks WebSockets in the ways that faulty proxies do.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { atEnd } from "../harness/at-end.mjs";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Server's frame `3probe`, the answer to an upgrade probe. */
const ANSWER = Buffer.from("\x81\x063probe", "latin1");

/** Length of a client's frame with the packet `5`: header, mask and one byte. */
const MOVE_BYTES = 7;

class Trap {
  #server = createServer();
  #sockets = new Set();
  /** Times of the forwarded polls. */
  polls = [];
  /** Number of WebSocket handshakes. */
  handshakes = 0;
  /** Ids of the sessions whose polls were forwarded. */
  sessions = new Set();

  /** Calls `trap` for each WebSocket, with the request, its socket and this proxy. */
  constructor(url, trap) {
    this.target = new URL(url);
    this.#server.on("connection", (socket) => this.#keep(socket));
    this.#server.on("request", (asked, answer) => this.#forward(asked, answer));
    this.#server.on("upgrade", (asked, near, head) => {
      this.handshakes++;
      near.on("error", () => {});
      trap({ asked, near, head, trap: this });
    });
  }

  #keep(socket) {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #forward(asked, answer) {
    const sid = new URL(asked.url, this.target).searchParams.get("sid");
    if (asked.method === "GET" && sid) {
      this.polls.push(Date.now());
      this.sessions.add(sid);
    }
    const options = { host: this.target.hostname, port: this.target.port, path: asked.url, method: asked.method };
    const forwarded = request({ ...options, headers: asked.headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    forwarded.on("error", () => answer.destroy());
    answer.on("close", () => forwarded.destroy());
    asked.pipe(forwarded);
  }

  /** Opens a connection to the node and forwards the client's WebSocket handshake. */
  dial(asked) {
    const far = this.#keep(connect(Number(this.target.port), this.target.hostname));
    far.on("error", () => {});
    const headers = Object.entries(asked.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    far.write(`GET ${asked.url} HTTP/1.1\r\n${headers.join("")}\r\n`);
    return far;
  }

  /** Returns the number of polls in the last `ms`. */
  pollsSince(ms) {
    return this.polls.filter((time) => time >= Date.now() - ms).length;
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Closes each connection when the other closes. */
function tie(near, far) {
  near.on("close", () => far.destroy());
  far.on("close", () => near.destroy());
}

/** Returns the response to a handshake, as a node would send it. */
function switching(asked) {
  const accept = createHash("sha1").update(asked.headers["sec-websocket-key"] + GUID).digest("base64");
  return (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
  );
}

/** Forwards only the node's 101; resolves with the bytes that the node sent after it. */
async function forwardHead(near, far) {
  let got = Buffer.alloc(0);
  for (;;) {
    const [bytes] = await once(far, "data");
    got = Buffer.concat([got, bytes]);
    const end = got.indexOf("\r\n\r\n");
    if (end < 0) continue;
    near.write(got.subarray(0, end + 4));
    return got.subarray(end + 4);
  }
}

/** Faults, by description. */
export const TRAPS = {
  "answers 101 itself and swallows everything": ({ asked, near }) => {
    near.write(switching(asked));
    near.resume();
  },
  "forwards the 101 and swallows everything else": async ({ asked, near, trap }) => {
    const far = trap.dial(asked);
    tie(near, far);
    await forwardHead(near, far);
    near.resume();
    far.resume();
  },
  "swallows the 101 and everything else": ({ asked, near, trap }) => {
    const far = trap.dial(asked);
    tie(near, far);
    near.resume();
    far.resume();
  },
  "forwards the 101 and breaks the WebSocket": async ({ asked, near, trap }) => {
    const far = trap.dial(asked);
    tie(near, far);
    await forwardHead(near, far);
    near.destroy();
  },
  "answers 101 itself and breaks the WebSocket": ({ asked, near }) => near.end(switching(asked), () => near.destroy()),
  "answers 400": ({ near }) => near.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
  "never answers": ({ near }) => near.resume(),
  "swallows what comes from the node after its 101": async ({ asked, near, head, trap }) => {
    const far = trap.dial(asked);
    tie(near, far);
    await forwardHead(near, far);
    far.write(head);
    near.pipe(far, { end: false });
    far.resume();
  },
};

/** Forwards the probe and its answer, and breaks the WebSocket when the client upgrades. */
export async function breakAtMove({ asked, near, head, trap }) {
  const far = trap.dial(asked);
  tie(near, far);
  let down = await forwardHead(near, far);
  far.write(head);
  let answered = down.includes(ANSWER);
  near.write(down);
  far.on("data", (bytes) => {
    down = Buffer.concat([down, bytes]);
    near.write(bytes);
    answered ||= down.includes(ANSWER);
  });
  near.on("data", (bytes) => {
    if (answered && bytes.length >= MOVE_BYTES) near.destroy();
    else far.write(bytes);
  });
}

/** Forwards everything, and breaks the first WebSocket after `limit` bytes. */
export function breakAfter(limit) {
  let broken = false;
  return async ({ asked, near, head, trap }) => {
    const far = trap.dial(asked);
    tie(near, far);
    let left = limit;
    const forward = (from, to) => {
      from.on("data", (bytes) => {
        if (!broken && (left -= bytes.length) < 0) {
          broken = true;
          near.destroy();
        } else {
          to.write(bytes);
        }
      });
    };
    near.write(await forwardHead(near, far));
    far.write(head);
    forward(near, far);
    forward(far, near);
  };
}

/** Starts a proxy in front of `url` for the test `t`; clients connect to its own `url`. */
export async function openTrap(t, url, trap) {
  const opened = await new Trap(url, trap).listen();
  atEnd(t, () => opened.close());
  return opened;
}
