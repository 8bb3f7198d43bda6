import { connect, createServer } from "node:net";

/**
 * Where servers of tests listen: below the ports that a system gives to outgoing connections (Linux: from 32,768
 * on), so that none takes the port of a server that is still to start, or is down for a while. The talk within a
 * Redis Cluster is 10,000 higher.
 */
const [FIRST, COUNT] = [10_000, 10_000];

let next = Math.floor(Math.random() * COUNT);

/** A TCP port of this machine that nobody listens on; another one each time. */
export async function freePort() {
  for (;;) {
    const port = FIRST + (next++ % COUNT);
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** Whether somebody listens on it. */
export function isOpen(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
