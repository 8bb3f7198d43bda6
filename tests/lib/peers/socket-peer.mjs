import { io } from "socket.io-client";
import { atEnd } from "../harness/at-end.mjs";
import { within } from "../harness/eventually.mjs";
import { Peer } from "./peer.mjs";

/** Options of the stock client for each way to connect. */
const WAYS = {
  websocket: { transports: ["websocket"] },
  polling: { transports: ["polling"] },
  upgrade: {},
  // Ready to upgrade, which it does when told to.
  late: { transports: ["polling", "websocket"], upgrade: false },
};

/** The stock JavaScript client. */
export class SocketPeer extends Peer {
  constructor(label, socket) {
    super(label);
    this.socket = socket;
    socket.onAny((event, ...args) => this.tell(event, args));
    /** Resolves when polling has given way to WebSocket. */
    this.upgraded = new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
  }

  /** Connects one of `WAYS`, and upgrades where that is the way; closes at the end of the test `t`. */
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

  /** The transport in use now. */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /**
   * Upgrades from polling. The stock client takes this step by itself as soon as it is open, which
   * on a fast network is before anything has been said; on a slow one it is in the midst of it.
   */
  async upgrade() {
    this.socket.io.engine._probe("websocket");
    await within(`${this.label} upgrades`, this.upgraded);
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
