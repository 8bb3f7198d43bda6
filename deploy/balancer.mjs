// A small load balancer for nodes on this machine: new connections go to the nodes in turn, and every
// request of a long-polling session to the node that has it. One process, plain HTTP: for trying
// things out, not for production.
import { createServer, request } from "node:http";
import { connect } from "node:net";

/** How many long-polling sessions are remembered; the oldest are forgotten first. */
const SESSIONS = 100_000;

/** What a node answers to a session's first request has its id in it. */
const OPENING = /^0\{"sid":"([^"]+)"/;

/** How long an answer is looked through for a session's id. */
const OPENING_BYTES = 1_024;

/** What clients say of where they are, which only the balancer knows. */
const SAID = ["forwarded", "x-forwarded-for"];

/** Serves `nodes`, each with its `listen` address, on a port of the loopback; resolves with the port. */
export function balance(nodes, port) {
  const sessions = new Map();
  let turn = 0;

  /** The nodes to try for a request, the best one first. */
  const choices = (url) => {
    const sid = new URL(url, "http://localhost").searchParams.get("sid");
    const owner = sid && sessions.get(sid);
    if (owner) return [owner];
    turn += 1;
    return nodes.map((_, index) => nodes[(turn + index) % nodes.length]);
  };

  const remember = (sid, node) => {
    if (sessions.size >= SESSIONS) sessions.delete(sessions.keys().next().value);
    sessions.set(sid, node);
  };

  const server = createServer((incoming, answer) => {
    const candidates = choices(incoming.url);
    const attempt = () => {
      const node = candidates.shift();
      if (!node) return answer.writeHead(502).end("no node answers\n");
      const { method, url: path, headers } = incoming;
      const [host, port] = node.listen.split(":");
      for (const name of SAID) delete headers[name];
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
        // Nothing of the body was taken, so another node may be asked.
        if (!answer.headersSent && incoming.readableFlowing === null) attempt();
        else if (!answer.headersSent) answer.writeHead(502).end("the node is gone\n");
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
          .flatMap((name, at, all) => (at % 2 || SAID.includes(name.toLowerCase()) ? [] : `${name}: ${all[at + 1]}`))
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
