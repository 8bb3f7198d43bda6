import { io, type Socket } from "socket.io-client";
import { Emitter } from "../emitter.js";
import { CONTRACT_CODES, type ErrorCode, refusal, WeirError } from "../errors.js";
import {
  type Answer,
  NOTICES,
  type Notices,
  type ReceivedHeader,
  type Requests,
  type SentHeader,
} from "../protocol.js";
import type { Address } from "./address.js";
import { Backlog } from "./backlog.js";
import { Liveness } from "./liveness.js";

/** Interval of liveness checks. */
const TICK_MS = 500;

export interface ConnectionOptions {
  token?: string;
  /** Timeout of the attempt to connect. */
  timeoutMs: number;
  /** Timeout of each request. */
  requestTimeoutMs: number;
}

type ConnectionEvents = {
  notice: { [E in keyof Notices]: [event: E, argument: Notices[E]] }[keyof Notices];
  media: [header: ReceivedHeader, payload: Uint8Array];
  lost: [error: WeirError];
};

/** One Socket.IO connection to a node. It never reconnects: a `Reconnector` opens the next one. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly #socket: Socket;
  readonly #requestTimeoutMs: number;
  readonly #ticks: ReturnType<typeof setInterval>;
  readonly #liveness = new Liveness(performance.now());
  readonly #backlog = new Backlog();
  /** Error that ended the connection. */
  #endedBy: WeirError | undefined;
  /** Reject functions of the pending requests. */
  readonly #pending = new Set<(error: WeirError) => void>();

  /** Opens a connection. Rejects with the node's refusal, `disconnected` or `aborted`. */
  static open(
    { url, origin, path }: Address,
    options: ConnectionOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const abortion = () => new WeirError("aborted", "the attempt to connect was aborted");
    if (signal?.aborted) return Promise.reject(abortion());
    return new Promise((resolve, reject) => {
      const socket = io(origin, {
        path,
        transports: ["websocket"],
        reconnection: false,
        forceNew: true,
        timeout: options.timeoutMs,
        ...(options.token === undefined ? {} : { auth: { token: options.token } }),
      });
      const settle = (then: () => void) => {
        signal?.removeEventListener("abort", aborted);
        socket.off("connect").off("connect_error");
        then();
      };
      const aborted = () => {
        settle(() => reject(abortion()));
        socket.disconnect();
      };
      socket.once("connect", () => settle(() => resolve(new Connection(socket, options.requestTimeoutMs))));
      socket.once("connect_error", (error) => {
        settle(() => reject(connectError(url, error)));
        socket.disconnect();
      });
      signal?.addEventListener("abort", aborted);
    });
  }

  private constructor(socket: Socket, requestTimeoutMs: number) {
    super();
    this.#socket = socket;
    this.#requestTimeoutMs = requestTimeoutMs;
    for (const event of NOTICES) {
      socket.on(event, (argument) => this.emit("notice", event, argument));
    }
    socket.on("media", (header: ReceivedHeader, payload: ArrayBuffer | Uint8Array) => {
      this.#liveness.media(performance.now());
      this.emit("media", header, bytes(payload));
    });
    socket.once("disconnect", (reason) => {
      const ended = reason === "io server disconnect" ? "closed by the node" : reason;
      this.#lose(new WeirError("disconnected", `connection lost: ${ended}`));
    });
    socket.io.engine.on("packet", () => this.#liveness.heard(performance.now()));
    this.#ticks = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Whether the connection was closed or lost. */
  get ended(): boolean {
    return this.#endedBy !== undefined;
  }

  /** Round-trip time of the last probe, in milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#liveness.roundTripMs;
  }

  /** Bytes that wait for the network: in this page's buffers, or in flight while acknowledgements are late. */
  get backlog(): number {
    return Math.max(this.#buffered, this.#backlog.inFlight(performance.now()));
  }

  /** Bytes in this page's buffers. */
  get #buffered(): number {
    const engine = this.#socket.io.engine;
    const socket = (engine?.transport as { ws?: { bufferedAmount?: number } } | undefined)?.ws;
    return (socket?.bufferedAmount ?? 0) + size(engine?.writeBuffer ?? []);
  }

  /**
   * Sends a request and awaits its answer. Rejects with the node's refusal, `timeout`, `disconnected` or
   * `closed`.
   */
  request<E extends keyof Requests>(event: E, argument: Requests[E][0]): Promise<Requests[E][1]> {
    return new Promise((resolve, reject) => {
      if (this.#endedBy) {
        reject(this.#endedBy);
        return;
      }
      const fail = (error: WeirError) => {
        clearTimeout(timer);
        this.#pending.delete(fail);
        reject(error);
      };
      const timer = setTimeout(
        () => fail(new WeirError("timeout", `no answer to ${event} within ${this.#requestTimeoutMs} ms`)),
        this.#requestTimeoutMs,
      );
      this.#pending.add(fail);
      this.#socket.emit(event as string, argument, (answer: Answer<Requests[E][1]>) => {
        if (!this.#pending.delete(fail)) return;
        clearTimeout(timer);
        if (answer.ok) resolve(answer);
        else reject(refusal(answer.error));
      });
    });
  }

  /** Sends a chunk. A refusal arrives as an `error` notice. */
  media(header: SentHeader, payload: Uint8Array): void {
    if (this.#endedBy) return;
    const now = performance.now();
    this.#liveness.media(now);
    const confirm = this.#backlog.add(payload.length, now);
    if (!confirm) {
      this.#socket.emit("media", header, payload);
      return;
    }
    this.#socket.emit("media", header, payload, (answer: Answer<{ seq: number }>) => {
      confirm(performance.now());
      if (!answer.ok) this.emit("notice", "error", { event: "media", error: answer.error });
    });
  }

  /** Probes the node at once, for instance after a change of network. */
  probe(): void {
    if (this.#endedBy) return;
    const answered = this.#liveness.probe(performance.now(), this.#buffered);
    if (!answered) return;
    // A message without recipients changes nothing. Outside a room it is refused, which is an answer too.
    this.#socket.emit("message", { to: [], data: null }, () => answered(performance.now()));
  }

  /** Closes the connection without emitting `lost`. Pending requests reject with `reason`. */
  close(reason: WeirError): void {
    this.#end(reason);
    this.#socket.disconnect();
  }

  #tick(): void {
    const now = performance.now();
    switch (this.#liveness.check(now, this.#buffered)) {
      case "probe":
        this.probe();
        return;
      case "lost": {
        const silentMs = Math.round(this.#liveness.silentMs(now));
        this.#lose(new WeirError("disconnected", `no sign of life from the node for ${silentMs} ms`));
        this.#socket.disconnect();
      }
    }
  }

  #lose(error: WeirError): void {
    if (this.#endedBy) return;
    this.#end(error);
    this.emit("lost", error);
  }

  #end(reason: WeirError): void {
    this.#endedBy ??= reason;
    clearInterval(this.#ticks);
    for (const fail of [...this.#pending]) fail(this.#endedBy);
  }
}

/** Returns `payload` as bytes. The client delivers an `ArrayBuffer` in browsers, a `Buffer` in Node. */
function bytes(payload: ArrayBuffer | Uint8Array): Uint8Array {
  return payload instanceof Uint8Array ? payload : new Uint8Array(payload);
}

/** Returns the size of unsent packets, in bytes. */
function size(packets: readonly { data?: unknown }[]): number {
  let sum = 0;
  for (const { data } of packets) {
    if (typeof data === "string") sum += data.length;
    else if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) sum += data.byteLength;
  }
  return sum;
}

/** Creates the error of a failed attempt. Only a refusal by a node starts with one of the contract's codes. */
function connectError(url: string, error: Error): WeirError {
  const [code = "", ...rest] = error.message.split(": ");
  if ((CONTRACT_CODES as readonly string[]).includes(code)) {
    return new WeirError(code as ErrorCode, rest.join(": "));
  }
  return new WeirError("disconnected", `cannot reach ${url}: ${error.message}`, { cause: error });
}
