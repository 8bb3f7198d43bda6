import { connect, createServer } from "node:net";

/**
 * Port range of test servers. It lies below the ephemeral ports (Linux: from 32,768 on), so that no outgoing
 * connection takes the port of a server that is not up. The ports of the Redis Cluster bus
 * are 10,000 higher.
 */
const [FIRST, COUNT] = [10_000, 10_000];

let next = Math.floor(Math.random() * COUNT);

/** Returns a free TCP port, a different one each time. */
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

/** Returns whether a server listens on the port. */
export function isOpen(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
