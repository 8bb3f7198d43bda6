import { io } from "socket.io-client";
import { atEnd } from "./at-end.mjs";
import { within } from "./eventually.mjs";
import { Peer } from "./peer.mjs";

/** Options of the stock client for each way to connect. */
const WAYS = {
  websocket: { transports: ["websocket"] },
  polling: { transports: ["polling"] },
  upgrade: {},
};

/** The stock JavaScript client. */
export class SocketPeer extends Peer {
  constructor(label, socket) {
    super(label);
    this.socket = socket;
    socket.onAny((event, ...args) => this.tell(event, args));
  }

  /** Connects one of `WAYS`, and closes at the end of the test `t`. */
  static async connect(t, url, way = "websocket", label = way) {
    const socket = io(url, { ...WAYS[way], forceNew: true, reconnection: false });
    const peer = new SocketPeer(label, socket);
    atEnd(t, () => socket.close());
    const connected = new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    // Listening starts before the connection does: an upgrade may be over when `connect` comes.
    const upgraded = new Promise((resolve) => {
      socket.io.engine.once("upgrade", (transport) => resolve(transport.name));
    });
    await within(`${label} connects`, connected);
    if (way === "upgrade") await within(`${label} upgrades`, upgraded);
    return peer;
  }

  /** The transport in use now. */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /** Emits with a callback and resolves with the acknowledgement, whatever it says. */
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
   * Breaks the TCP connection without a word of goodbye, with a reset or an ordinary FIN. Only a
   * WebSocket has a connection of its own.
   */
  vanish({ reset = false } = {}) {
    const tcp = this.socket.io.engine.transport.ws._socket;
    if (reset) tcp.resetAndDestroy();
    else tcp.destroy();
  }
}
