import { connect, createServer } from "node:net";
import { atEnd } from "../harness/at-end.mjs";

/**
 * Network between clients and `url` that can be cut. While it is cut, nothing passes in either direction.
 * Connections that were open or opened meanwhile stay dead, as if all retransmissions were lost.
 */
class Gate {
  #server;
  /** Bandwidth limits in bytes per second, from clients and to them. */
  #up = Number.POSITIVE_INFINITY;
  #down = Number.POSITIVE_INFINITY;
  #pairs = new Set();
  #open = true;

  constructor(url) {
    const { hostname, port } = new URL(url);
    this.#server = createServer((near) => {
      near.on("error", () => {});
      if (!this.#open) {
        near.pause();
        this.#pairs.add({ near });
        return;
      }
      const far = connect(Number(port), hostname);
      const pair = { near, far };
      this.#pairs.add(pair);
      for (const [one, other] of [[near, far], [far, near]]) {
        one.on("data", (bytes) => {
          if (pair.dead) return;
          other.write(bytes);
          this.#hold(one, pair, bytes.length, one === near ? this.#up : this.#down);
        });
        one.on("error", () => {});
        one.on("close", () => {
          if (pair.dead) return;
          other.destroy();
          this.#pairs.delete(pair);
        });
      }
    });
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  /** Limits the bandwidth of each client from now on. */
  throttle(bytesPerSecond) {
    this.#up = bytesPerSecond;
  }

  /** Limits the bandwidth of each connection towards its client from now on. */
  throttleDown(bytesPerSecond) {
    this.#down = bytesPerSecond;
  }

  /** Pauses one side for the time that the last bytes take at its bandwidth. */
  #hold(side, pair, bytes, bytesPerSecond) {
    if (bytesPerSecond === Number.POSITIVE_INFINITY) return;
    side.pause();
    setTimeout(() => pair.dead || side.resume(), (bytes * 1_000) / bytesPerSecond);
  }

  cut() {
    this.#open = false;
    for (const pair of this.#pairs) {
      pair.dead = true;
      pair.near.pause();
      pair.far?.pause();
    }
  }

  mend() {
    this.#open = true;
  }

  close() {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far?.destroy();
    }
    return new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Opens a gate to `url` for the test `t`. The gate's own `url` leads through it. */
export async function openGate(t, url) {
  const gate = await new Gate(url).listen();
  atEnd(t, () => gate.close());
  return gate;
}
