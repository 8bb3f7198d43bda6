import { io } from "socket.io-client";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";
import { Peer } from "./peer.mjs";

/** Options of the stock client by way to connect. */
const WAYS = {
  websocket: { transports: ["websocket"] },
  polling: { transports: ["polling"] },
  upgrade: {},
  // Upgrades only when told to.
  late: { transports: ["polling", "websocket"], upgrade: false },
};

/** Stock JavaScript client. */
export class SocketPeer extends Peer {
  constructor(label, socket) {
    super(label);
    this.socket = socket;
    socket.onAny((event, ...args) => this.tell(event, args));
    /** Resolves when the upgrade to WebSocket is complete. */
    this.upgraded = new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
  }

  /** Connects in one of `WAYS`; closes at the end of the test `t`. */
  static async connect(t, url, way = "websocket", label = way) {
    const socket = io(url, { ...WAYS[way], forceNew: true, reconnection: false });
    atEnd(t, () => socket.close());
    const peer = new SocketPeer(label, socket);
    const connected = new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    await within(`${label} connects`, connected);
    if (way === "upgrade") await within(`${label} upgrades`, peer.upgraded);
    return peer;
  }

  /** Current transport. */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /**
   * Upgrades from polling. By itself, the stock client would do so as soon as it is open, on a fast network
   * before any traffic.
   */
  async upgrade() {
    this.socket.io.engine._probe("websocket");
    await within(`${this.label} upgrades`, this.upgraded);
  }

  /** Emits with a callback. Resolves with the acknowledgement. */
  ask(event, ...args) {
    return within(`${this.label}: ${event} is answered`, this.socket.emitWithAck(event, ...args));
  }

  /** Emits without a callback. */
  emit(event, ...args) {
    this.socket.emit(event, ...args);
  }

  async close() {
    this.socket.close();
  }

  /**
   * Breaks the TCP connection without an Engine.IO close, by a reset or a FIN. Only a
   * WebSocket has a connection of its own.
   */
  vanish({ reset = false } = {}) {
    const tcp = this.socket.io.engine.transport.ws._socket;
    if (reset) tcp.resetAndDestroy();
    else tcp.destroy();
  }
}
