import { Emitter } from "../emitter.js";
import { asWeirError, closedError, WeirError } from "../errors.js";
import type { Address } from "./address.js";
import { Connection, type ConnectionOptions } from "./connection.js";

/** Timeouts of the first attempts. They are short, since a packet lost during a handshake costs seconds. */
const ATTEMPT_MS = [1_000, 1_000, 1_500, 2_000, 5_000];
/** Timeout of every later attempt. */
const LATER_ATTEMPT_MS = 10_000;
const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 2_000;

interface ReconnectorOptions extends ConnectionOptions {
  /** Time without a connection after which reconnecting is given up. */
  reconnectTimeoutMs: number;
}

type ReconnectorEvents = {
  up: [connection: Connection];
  down: [error: WeirError];
  /** Reconnecting was given up. */
  failed: [error: WeirError];
};

/**
 * Keeps one connection to a cluster until it is closed. Replaces a lost connection by another one, with
 * exponential backoff and jitter, and takes turns among the addresses.
 */
export class Reconnector extends Emitter<ReconnectorEvents> {
  readonly #addresses: readonly Address[];
  readonly #options: ReconnectorOptions;
  #connection: Connection | undefined;
  #closed = new AbortController();
  /** Ends the current backoff. */
  #wake: (() => void) | undefined;
  /** Number of attempts, which selects the next address. */
  #turn = 0;

  constructor(addresses: readonly Address[], options: ReconnectorOptions) {
    super();
    this.#addresses = addresses;
    this.#options = options;
    globalThis.addEventListener?.("online", this.#online);
  }

  /** Current connection; `undefined` while reconnecting. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Opens the first connection. Tries each address once, and rejects with the last error. */
  async open(signal?: AbortSignal): Promise<Connection> {
    let failure = new WeirError("bad_request", "url: empty; connect needs at least one address");
    for (const address of this.#addresses) {
      this.#turn += 1;
      try {
        return this.#adopt(await Connection.open(address, this.#options, signal));
      } catch (error) {
        failure = asWeirError(error);
        if (!failure.retryable) break;
      }
    }
    this.close();
    throw failure;
  }

  /** Replaces the current connection in `afterMs`, for instance because its node drains. */
  replace(afterMs: number): void {
    const replaced = this.#connection;
    setTimeout(() => {
      if (this.#connection !== replaced || this.#closed.signal.aborted) return;
      const reason = new WeirError("draining", "the connection is being replaced");
      replaced?.close(reason);
      this.#lose(reason);
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

  #nextAddress(): Address | undefined {
    const address = this.#addresses[this.#turn % this.#addresses.length];
    this.#turn += 1;
    return address;
  }

  #adopt(connection: Connection): Connection {
    this.#connection = connection;
    connection.on("lost", (error) => this.#lose(error));
    return connection;
  }

  #lose(error: WeirError): void {
    this.#connection = undefined;
    this.emit("down", error);
    void this.#reconnect(error);
  }

  async #reconnect(cause: WeirError): Promise<void> {
    const since = performance.now();
    let last = cause;
    for (let attempt = 0; !this.#closed.signal.aborted; attempt++) {
      await this.#backOff(attempt);
      if (this.#closed.signal.aborted) return;
      if (performance.now() - since > this.#options.reconnectTimeoutMs) break;
      const timeoutMs = Math.min(this.#options.timeoutMs, ATTEMPT_MS[attempt] ?? LATER_ATTEMPT_MS);
      try {
        const options = { ...this.#options, timeoutMs };
        const address = this.#nextAddress();
        if (!address) break;
        const connection = await Connection.open(address, options, this.#closed.signal);
        // `close` may have been called after the node's answer arrived.
        if (this.#closed.signal.aborted) {
          connection.close(closedError());
          return;
        }
        this.emit("up", this.#adopt(connection));
        return;
      } catch (error) {
        last = asWeirError(error);
        if (!last.retryable) break;
      }
    }
    if (!this.#closed.signal.aborted) this.emit("failed", last);
  }

  /** Waits before an attempt. Jitter spreads the clients of a lost node. */
  #backOff(attempt: number): Promise<void> {
    const longest =
      attempt === 0 ? FIRST_BACKOFF_MS / 2 : Math.min(FIRST_BACKOFF_MS * 2 ** attempt, MAX_BACKOFF_MS);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, longest * (0.5 + Math.random() / 2));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
