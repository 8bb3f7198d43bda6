import { Emitter } from "../emitter.js";
import { asWeirError, closedError, WeirError } from "../errors.js";
import type { Address } from "./address.js";
import { Connection, type ConnectionOptions } from "./connection.js";

/** How long the first attempts may take, then every further one. Early ones are short, since a packet lost then costs seconds. */
const ATTEMPT_MS = [1_000, 1_000, 1_500, 2_000, 5_000];
const LATER_ATTEMPT_MS = 10_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2_000;

export interface LinkOptions extends ConnectionOptions {
  /** After so long without a connection it is given up. */
  reconnectTimeoutMs: number;
}

type LinkEvents = {
  up: [connection: Connection];
  down: [error: WeirError];
  /** It will not come back. */
  failed: [error: WeirError];
};

/**
 * Keeps a connection to one of several addresses: when one is lost it opens another one, with pauses
 * that grow and differ, until it is closed.
 */
export class Link extends Emitter<LinkEvents> {
  readonly #addresses: readonly Address[];
  readonly #options: LinkOptions;
  #connection: Connection | undefined;
  #closed = new AbortController();
  #wake: (() => void) | undefined;
  #turn = 0;

  constructor(addresses: readonly Address[], options: LinkOptions) {
    super();
    this.#addresses = addresses;
    this.#options = options;
    globalThis.addEventListener?.("online", this.#online);
  }

  /** The connection that stands now. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** The first connection: each address is tried once, and the last refusal is the error. */
  async open(signal?: AbortSignal): Promise<Connection> {
    let failure = new WeirError("bad_request", "url: empty; connect needs at least one address");
    for (const address of this.#addresses) {
      this.#turn += 1;
      try {
        return this.#stand(await Connection.open(address, this.#options, signal));
      } catch (error) {
        failure = asWeirError(error);
        if (!failure.retryable) break;
      }
    }
    this.close();
    throw failure;
  }

  /** Leaves the present node for another connection, `afterMs` from now. */
  move(afterMs: number): void {
    const leaving = this.#connection;
    setTimeout(() => {
      if (this.#connection !== leaving || this.#closed.signal.aborted) return;
      const reason = new WeirError("draining", "the node is being replaced");
      leaving?.close(reason);
      this.#fall(reason);
    }, afterMs);
  }

  /** Closes the connection, and stops all attempts to reconnect. */
  close(reason = closedError()): void {
    this.#closed.abort();
    this.#wake?.();
    this.#connection?.close(reason);
    this.#connection = undefined;
    globalThis.removeEventListener?.("online", this.#online);
  }

  readonly #online = () => {
    this.#connection?.probe();
    this.#wake?.();
  };

  #next(): Address | undefined {
    const address = this.#addresses[this.#turn % this.#addresses.length];
    this.#turn += 1;
    return address;
  }

  #stand(connection: Connection): Connection {
    // The address that worked is the first to be tried again only after the others.
    this.#connection = connection;
    connection.on("lost", (error) => this.#fall(error));
    return connection;
  }

  #fall(error: WeirError): void {
    this.#connection = undefined;
    this.emit("down", error);
    void this.#restore(error);
  }

  async #restore(cause: WeirError): Promise<void> {
    const since = performance.now();
    let last = cause;
    for (let attempt = 0; !this.#closed.signal.aborted; attempt++) {
      await this.#pause(attempt);
      if (this.#closed.signal.aborted) return;
      if (performance.now() - since > this.#options.reconnectTimeoutMs) break;
      const timeoutMs = Math.min(this.#options.timeoutMs, ATTEMPT_MS[attempt] ?? LATER_ATTEMPT_MS);
      try {
        const options = { ...this.#options, timeoutMs };
        const address = this.#next();
        if (!address) break;
        const connection = await Connection.open(address, options, this.#closed.signal);
        // The link may have been closed after the answer arrived.
        if (this.#closed.signal.aborted) {
          connection.close(closedError());
          return;
        }
        this.emit("up", this.#stand(connection));
        return;
      } catch (error) {
        last = asWeirError(error);
        if (!last.retryable) break;
      }
    }
    if (!this.#closed.signal.aborted) this.emit("failed", last);
  }

  /** The first attempt comes at once, but not everybody's in the same instant. */
  #pause(attempt: number): Promise<void> {
    const longest =
      attempt === 0 ? FIRST_PAUSE_MS / 2 : Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, longest * (0.5 + Math.random() / 2));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
