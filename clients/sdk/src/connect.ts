import { parseAddress } from "./connection/address.js";
import { Reconnector } from "./connection/reconnector.js";
import { Room } from "./room/room.js";
import type { ChunkTransform } from "./transform/transform.js";

/** Options of {@link connect}. */
export interface ConnectOptions {
  /** Access token, for nodes that require one. */
  token?: string;
  /** Transform of every chunk, such as {@link aesGcm} for end-to-end encryption. */
  transform?: ChunkTransform;
  /** Aborts the attempt, which then rejects with `aborted`. */
  signal?: AbortSignal;
  /** Milliseconds after which an unanswered request rejects with `timeout`. Default 10,000. */
  requestTimeoutMs?: number;
  /** Milliseconds of failed reconnects after which the room is closed. Default: never. */
  reconnectTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Connects to a cluster, at the address of its load balancer or at one of several nodes.
 *
 * Resolves once connected; call {@link Room.join} next. Rejects with `bad_request` if an address is invalid,
 * with `disconnected` if no node answers, or with the node's refusal. A connection that is lost later
 * reconnects by itself.
 *
 * ```ts
 * const room = await connect("http://localhost:8080");
 * await room.join("standup", { name: "Ann", create: true });
 * await room.publishCamera();
 * ```
 */
export async function connect(url: string | string[], options: ConnectOptions = {}): Promise<Room> {
  const addresses = (Array.isArray(url) ? url : [url]).map(parseAddress);
  const reconnector = new Reconnector(addresses, {
    timeoutMs: CONNECT_TIMEOUT_MS,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    reconnectTimeoutMs: options.reconnectTimeoutMs ?? Number.POSITIVE_INFINITY,
    ...(options.token === undefined ? {} : { token: options.token }),
  });
  const connection = await reconnector.open(options.signal);
  return new Room(reconnector, connection, options.transform);
}
