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

/** How often it is looked whether the other side is still there. */
const TICK_MS = 500;
/** Without a word for so long, media flowing, the node is asked. */
const QUIET_MS = 1_000;
/** Without media so long is no reason to ask. */
const IDLE_QUIET_MS = 5_000;
/** So long after the question, still without a word, the connection counts as lost. */
const SILENT_MS = 1_500;

/** One chunk in such a time is asked to be acknowledged. */
const CONFIRM_MS = 250;
/** An acknowledgement that takes so much longer than the quickest one waits behind what was sent before. */
const CONGESTED_MS = 250;

export interface ConnectionOptions {
  token?: string;
  /** Until the connection stands. */
  timeoutMs: number;
  /** Until a request is answered. */
  requestTimeoutMs: number;
}

type ConnectionEvents = {
  notice: { [E in keyof Notices]: [event: E, argument: Notices[E]] }[keyof Notices];
  media: [header: ReceivedHeader, payload: Uint8Array];
  lost: [error: WeirError];
};

/** One Socket.IO connection, from its opening to its end. It does not come back: a {@link Link} opens another. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly #socket: Socket;
  readonly #requestTimeoutMs: number;
  readonly #ticks: ReturnType<typeof setInterval>;
  #heardAt = performance.now();
  #mediaAt = 0;
  #askedAt: number | undefined;
  #backlogAtAsking = 0;
  #roundTripMs: number | undefined;
  /** Error that ended the connection. */
  #endedBy: WeirError | undefined;
  /** Reject functions of the pending requests. */
  readonly #pending = new Set<(error: WeirError) => void>();
  /** Bytes of payload: sent, and known to have arrived. */
  readonly #payload = { sent: 0, confirmed: 0 };
  #confirming: number | undefined;
  #confirmedAt = 0;
  #quickestMs = Number.POSITIVE_INFINITY;

  /** Resolves when a request can be sent; rejects with why that cannot be. */
  static open(
    { url, origin, path }: Address,
    options: ConnectionOptions,
    signal?: AbortSignal,
  ): Promise<Connection> {
    const abortion = () => new WeirError("aborted", "the attempt to connect was ended");
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
      this.#mediaAt = performance.now();
      this.emit("media", header, bytes(payload));
    });
    socket.once("disconnect", (reason) => {
      const ended = reason === "io server disconnect" ? "the node ended it" : reason;
      this.#lose(new WeirError("disconnected", `the connection was lost: ${ended}`));
    });
    socket.io.engine.on("packet", () => {
      this.#heardAt = performance.now();
    });
    this.#ticks = setInterval(() => this.#tick(), TICK_MS);
  }

  get ended(): boolean {
    return this.#endedBy !== undefined;
  }

  /** From a question to its answer, at the last one. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Bytes that wait for the network: in this page, or, as late acknowledgements tell, on the way. */
  get backlog(): number {
    return Math.max(this.#waiting, this.#congested ? this.#payload.sent - this.#payload.confirmed : 0);
  }

  get #waiting(): number {
    const engine = this.#socket.io.engine;
    const socket = (engine?.transport as { ws?: { bufferedAmount?: number } } | undefined)?.ws;
    return (socket?.bufferedAmount ?? 0) + waiting(engine?.writeBuffer ?? []);
  }

  get #congested(): boolean {
    if (this.#confirming === undefined) return false;
    return performance.now() - this.#confirming > this.#quickestMs + CONGESTED_MS;
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
        () => fail(new WeirError("timeout", `${event} was not answered within ${this.#requestTimeoutMs} ms`)),
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

  /** Sends a chunk; refusals come as `error` notices. */
  media(header: SentHeader, payload: Uint8Array): void {
    if (this.#endedBy) return;
    const now = performance.now();
    this.#mediaAt = now;
    this.#payload.sent += payload.length;
    if (this.#confirming !== undefined || now - this.#confirmedAt < CONFIRM_MS) {
      this.#socket.emit("media", header, payload);
      return;
    }
    const { sent } = this.#payload;
    this.#confirming = now;
    this.#socket.emit("media", header, payload, (answer: Answer<{ seq: number }>) => {
      this.#confirmedAt = performance.now();
      this.#confirming = undefined;
      this.#quickestMs = Math.min(this.#quickestMs, this.#confirmedAt - now);
      this.#payload.confirmed = sent;
      if (!answer.ok) this.emit("notice", "error", { event: "media", error: answer.error });
    });
  }

  /** Asks at once whether the other side is still there, for instance when the network has changed. */
  probe(): void {
    if (this.#askedAt !== undefined || this.#endedBy) return;
    const askedAt = performance.now();
    this.#askedAt = askedAt;
    this.#backlogAtAsking = this.#waiting;
    // A message to nobody changes nothing; outside of a room it is refused, which is an answer too.
    this.#socket.emit("message", { to: [], data: null }, () => {
      this.#roundTripMs = performance.now() - askedAt;
      this.#askedAt = undefined;
    });
  }

  /** Closes the connection without emitting `lost`. Pending requests reject with `reason`. */
  close(reason: WeirError): void {
    this.#end(reason);
    this.#socket.disconnect();
  }

  #tick(): void {
    const now = performance.now();
    const quiet = now - this.#heardAt;
    if (this.#askedAt === undefined) {
      const patience = now - this.#mediaAt < IDLE_QUIET_MS ? QUIET_MS : IDLE_QUIET_MS;
      const stale = this.#roundTripMs === undefined || now - this.#probedAt > IDLE_QUIET_MS;
      if (quiet >= patience || stale) {
        this.#probedAt = now;
        this.probe();
      }
      return;
    }
    // What leaves this side shows that the way up is open, however long it is.
    const backlog = this.#waiting;
    const drains = backlog < this.#backlogAtAsking;
    this.#backlogAtAsking = backlog;
    // The timers of a page that slept fire before what arrived meanwhile is heard: two ticks must say so.
    this.#silentTicks =
      quiet >= SILENT_MS && now - this.#askedAt >= SILENT_MS && !drains ? this.#silentTicks + 1 : 0;
    if (this.#silentTicks >= 2) {
      this.#lose(new WeirError("disconnected", `the node has been silent for ${Math.round(quiet)} ms`));
      this.#socket.disconnect();
    }
  }

  #probedAt = 0;
  #silentTicks = 0;

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

/** `payload` as bytes: the browser's client delivers an `ArrayBuffer`, Node's a `Buffer`. */
export function bytes(payload: ArrayBuffer | Uint8Array): Uint8Array {
  return payload instanceof Uint8Array ? payload : new Uint8Array(payload);
}

function waiting(packets: readonly { data?: unknown }[]): number {
  let sum = 0;
  for (const { data } of packets) {
    if (typeof data === "string") sum += data.length;
    else if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) sum += data.byteLength;
  }
  return sum;
}

/** A refusal begins with one of the contract's codes; everything else means that nobody answered. */
function connectError(url: string, error: Error): WeirError {
  const [code = "", ...rest] = error.message.split(": ");
  if ((CONTRACT_CODES as readonly string[]).includes(code)) {
    return new WeirError(code as ErrorCode, rest.join(": "));
  }
  const reason = error.message === "timeout" ? "no answer in time" : error.message;
  return new WeirError("disconnected", `${url} cannot be reached: ${reason}`, { cause: error });
}
