import { parseAddress } from "./connection/address.js";
import { Link } from "./connection/reconnector.js";
import { Room } from "./room/room.js";
import type { ChunkTransform } from "./transform/transform.js";

export interface ConnectOptions {
  /** Sent to the node, which may ask for it. */
  token?: string;
  /** Applied to every chunk, such as {@link aesGcm} for end-to-end encryption. */
  transform?: ChunkTransform;
  /** Ends the attempt: `aborted`. */
  signal?: AbortSignal;
  /** Until a request that is not answered rejects with `timeout`. Default 10,000. */
  requestTimeoutMs?: number;
  /** Without a connection for so long it is closed. Default: never. */
  reconnectTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Connects to a node of a cluster, at the address of its load balancer or at one of several. Resolves once
 * connected, outside any room. Rejects with `bad_request` if an address is invalid, with `disconnected` if no
 * node answers, or with the node's refusal. Afterwards, a lost connection reconnects by itself.
 */
export async function connect(url: string | string[], options: ConnectOptions = {}): Promise<Room> {
  const addresses = (Array.isArray(url) ? url : [url]).map(parseAddress);
  const link = new Link(addresses, {
    timeoutMs: CONNECT_TIMEOUT_MS,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    reconnectTimeoutMs: options.reconnectTimeoutMs ?? Number.POSITIVE_INFINITY,
    ...(options.token === undefined ? {} : { token: options.token }),
  });
  const connection = await link.open(options.signal);
  return new Room(link, connection, options.transform);
}
