import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parseAddress } from "../../src/connection/address";
import { Connection } from "../../src/connection/connection";
import { Reconnector } from "../../src/connection/reconnector";
import { WeirError } from "../../src/errors";

type Listener = (...args: unknown[]) => void;

/** Fake socket of socket.io-client that connects at once, and whose node never answers. */
class FakeSocket {
  readonly io = { engine: { on: () => {} } };
  readonly disconnect = vi.fn();
  readonly #listeners = new Map<string, Listener>();

  constructor() {
    queueMicrotask(() => this.#listeners.get("connect")?.());
  }

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, listener);
    return this;
  }

  once(event: string, listener: Listener): this {
    return this.on(event, listener);
  }

  off(event: string): this {
    this.#listeners.delete(event);
    return this;
  }

  emit(): void {}

  lose(): void {
    this.#listeners.get("disconnect")?.("transport close");
  }
}

const sockets = vi.hoisted(() => [] as unknown[]);
vi.mock("socket.io-client", () => ({
  io: () => {
    const socket = new FakeSocket();
    sockets.push(socket);
    return socket;
  },
}));

const OPTIONS = { timeoutMs: 1_000, requestTimeoutMs: 10_000, reconnectTimeoutMs: Number.POSITIVE_INFINITY };
const ADDRESS = parseAddress("http://localhost:8080");
const socket = (at: number) => sockets[at] as FakeSocket;

beforeEach(() => {
  vi.useFakeTimers();
  sockets.length = 0;
});
afterEach(() => vi.useRealTimers());

test("closed connection rejects pending and later requests", async () => {
  const connection = await Connection.open(ADDRESS, OPTIONS);
  const waits = connection.request("room:leave", {});
  const reason = new WeirError("closed", "done");
  connection.close(reason);
  await expect(waits).rejects.toBe(reason);
  await expect(connection.request("room:leave", {})).rejects.toBe(reason);
});

test("lost connection rejects pending requests", async () => {
  const connection = await Connection.open(ADDRESS, OPTIONS);
  const waits = connection.request("room:leave", {});
  socket(0).lose();
  await expect(waits).rejects.toMatchObject({ code: "disconnected", retryable: true });
});

test("aborted attempt opens no socket", async () => {
  await expect(Connection.open(ADDRESS, OPTIONS, AbortSignal.abort())).rejects.toMatchObject({
    code: "aborted",
    retryable: false,
  });
  expect(sockets).toHaveLength(0);
});

test("reconnector that is closed while it reconnects opens no socket", async () => {
  const reconnector = new Reconnector([ADDRESS], OPTIONS);
  const up = vi.fn();
  reconnector.on("up", up);
  await reconnector.open();
  socket(0).lose();
  reconnector.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sockets).toHaveLength(1);
  expect(up).not.toHaveBeenCalled();
});

test("reconnector that is closed as a connection opens closes that one", async () => {
  const reconnector = new Reconnector([ADDRESS], OPTIONS);
  const up = vi.fn();
  reconnector.on("up", up);
  await reconnector.open();
  socket(0).lose();
  const open = Connection.open;
  vi.spyOn(Connection, "open").mockImplementationOnce(async (...args) => {
    const connection = await open.call(Connection, ...args);
    // Closes between the answer and the code that awaits it.
    queueMicrotask(() => reconnector.close());
    return connection;
  });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket(1).disconnect).toHaveBeenCalled();
  expect(up).not.toHaveBeenCalled();
});
