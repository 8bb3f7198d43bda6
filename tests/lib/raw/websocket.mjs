import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";

const TEXT = 0x1;
const CONTINUATION = 0x0;
const FINAL = 0x80;
const MASKED = 0x80;

/** Bytes per write; a multiple of the mask's four bytes, so that one masked block serves all. */
const BLOCK = 64 * 1024;

/** Hand-made WebSocket client on a TCP connection (RFC 6455), which may violate limits. */
export class RawWebSocket {
  #tcp;
  #mask = randomBytes(4);
  /** Whether the connection is open. */
  open = true;

  constructor(tcp) {
    this.#tcp = tcp;
    tcp.resume();
    // A node may reset the connection.
    tcp.on("error", () => {});
    tcp.on("end", () => (this.open = false));
    this.closed = new Promise((resolve) => tcp.once("close", resolve)).then(() => (this.open = false));
  }

  /** Connects to a node's Engine.IO endpoint and waits for its 101. */
  static async connect(url) {
    const { hostname, port, host } = new URL(url);
    const tcp = connect({ host: hostname, port });
    await once(tcp, "connect");
    tcp.write(
      [
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        `Host: ${host}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
        "\r\n",
      ].join("\r\n"),
    );
    const answered = once(tcp, "data");
    const [answer = "the end"] = await Promise.race([answered, once(tcp, "close").then(() => [])]);
    if (!/^HTTP\/1\.1 101 /.test(answer)) {
      tcp.destroy();
      throw new Error(`no upgrade but ${answer}`);
    }
    return new RawWebSocket(tcp);
  }

  /** Sends a short text message in one frame. */
  async send(text) {
    await this.#write(Buffer.concat([this.#header(TEXT | FINAL, text.length), this.#masked(Buffer.from(text))]));
  }

  /**
   * Sends one message of `size` bytes in `frames` frames of the same size, or as much as the connection
   * permits. It starts like a Socket.IO event.
   */
  async flood(size, frames) {
    const start = '42["message",{"data":"';
    const block = this.#masked(Buffer.alloc(BLOCK, "x"));
    let sent = 0;
    for (let frame = 0; frame < frames; frame++) {
      const final = frame === frames - 1 ? FINAL : 0;
      await this.#write(this.#header((frame === 0 ? TEXT : CONTINUATION) | final, size / frames));
      for (let left = size / frames; left > 0; left -= BLOCK) {
        const first = sent === 0 ? this.#masked(Buffer.from(start.padEnd(BLOCK, "x"))) : block;
        if (!(await this.#write(first))) return;
        sent += BLOCK;
      }
    }
  }

  destroy() {
    this.#tcp.destroy();
  }

  /** Writes when the socket is writable. Returns whether the connection is still open. */
  async #write(bytes) {
    if (!this.open) return false;
    if (!this.#tcp.write(bytes)) {
      const room = new Promise((resolve) => this.#tcp.once("drain", resolve));
      await Promise.race([room, this.closed]);
    }
    return this.open;
  }

  /** Returns a frame header, for lengths up to 125 or over 65,535. */
  #header(first, length) {
    const short = length < 126;
    const header = Buffer.alloc(short ? 2 : 10);
    header[0] = first;
    header[1] = MASKED | (short ? length : 127);
    if (!short) header.writeBigUInt64BE(BigInt(length), 2);
    return Buffer.concat([header, this.#mask]);
  }

  #masked(bytes) {
    return bytes.map((byte, at) => byte ^ this.#mask[at % 4]);
  }
}
