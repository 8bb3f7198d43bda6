// A small load balancer for nodes on this machine. It distributes connections round-robin, and routes every request
// of a long-polling session to the same node. One process, plain HTTP: for development, not for production.
import { createServer, request } from "node:http";
import { connect } from "node:net";

/** Maximum long-polling sessions that are tracked; the oldest are evicted first. */
const MAX_SESSIONS = 100_000;

/** Start of the response that opens a session, which contains its id. */
const OPENING = /^0\{"sid":"([^"]+)"/;

/** Number of bytes of a response that are searched for a session's id. */
const OPENING_BYTES = 1_024;

/** Headers with client addresses, which clients must not set. */
const FORWARDING = ["forwarded", "x-forwarded-for"];

/** Balances requests over `nodes`, each with its `listen` address, on a loopback port. Resolves with the address. */
export function balance(nodes, port) {
  const sessions = new Map();
  let turn = 0;

  /** Returns the nodes to try for a request, in order. */
  const choices = (url) => {
    const sid = new URL(url, "http://localhost").searchParams.get("sid");
    const owner = sid && sessions.get(sid);
    if (owner) return [owner];
    turn += 1;
    return nodes.map((_, index) => nodes[(turn + index) % nodes.length]);
  };

  const remember = (sid, node) => {
    if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.keys().next().value);
    sessions.set(sid, node);
  };

  const server = createServer((incoming, answer) => {
    const candidates = choices(incoming.url);
    const attempt = () => {
      const node = candidates.shift();
      if (!node) return answer.writeHead(502).end("no node responds\n");
      const { method, url: path, headers } = incoming;
      const [host, port] = node.listen.split(":");
      for (const name of FORWARDING) delete headers[name];
      headers["x-forwarded-for"] = incoming.socket.remoteAddress;
      const outgoing = request({ host, port, method, path, headers }, (from) => {
        answer.writeHead(from.statusCode, from.headers);
        let start = "";
        from.on("data", (data) => {
          if (start.length < OPENING_BYTES) {
            start += data;
            const [, sid] = OPENING.exec(start) ?? [];
            if (sid) remember(sid, node);
          }
        });
        from.pipe(answer);
        from.once("error", () => answer.destroy());
      });
      outgoing.once("error", () => {
        // No part of the body was read, so another node can serve the request.
        if (!answer.headersSent && incoming.readableFlowing === null) attempt();
        else if (!answer.headersSent) answer.writeHead(502).end("the node failed\n");
        else answer.destroy();
      });
      answer.once("close", () => outgoing.destroy());
      outgoing.once("socket", (socket) => {
        const send = () => incoming.pipe(outgoing);
        if (socket.connecting) socket.once("connect", send);
        else send();
      });
    };
    attempt();
  });

  server.on("upgrade", (incoming, socket, head) => {
    const candidates = choices(incoming.url);
    socket.on("error", () => socket.destroy());
    const attempt = () => {
      const node = candidates.shift();
      if (!node) return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
      const [host, port] = node.listen.split(":");
      const through = connect(Number(port), host);
      through.once("error", attempt);
      through.once("connect", () => {
        through.off("error", attempt).on("error", () => socket.destroy());
        through.setNoDelay(true);
        const headers = incoming.rawHeaders
          .flatMap((name, at, all) => (at % 2 || FORWARDING.includes(name.toLowerCase()) ? [] : `${name}: ${all[at + 1]}`))
          .concat(`x-forwarded-for: ${incoming.socket.remoteAddress}`);
        through.write([`GET ${incoming.url} HTTP/1.1`, ...headers, "", ""].join("\r\n"));
        through.write(head);
        socket.setNoDelay(true);
        socket.pipe(through).pipe(socket);
        socket.once("close", () => through.destroy());
        through.once("close", () => socket.destroy());
      });
    };
    attempt();
  });

  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server.address()));
  });
}
