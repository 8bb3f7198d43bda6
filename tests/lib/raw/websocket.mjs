import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";

const TEXT = 0x1;
const CONTINUATION = 0x0;
const FINAL = 0x80;
const MASKED = 0x80;

/** Written at a time; a multiple of the mask's four bytes, so that one block serves all. */
const BLOCK = 64 * 1024;

/** A WebSocket client without any manners: bytes on a TCP connection, as RFC 6455 has them. */
export class RawWebSocket {
  #tcp;
  #mask = randomBytes(4);
  /** Whether the connection still stands. */
  open = true;

  constructor(tcp) {
    this.#tcp = tcp;
    tcp.resume();
    // A reset is one of the ways in which a node may get rid of it.
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
   * Sends one message of `size` bytes in `frames` frames of the same size, which starts as a
   * Socket.IO event does, or as much of it as the connection stands for.
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

  /** Writes when there is room; says whether the connection was still there. */
  async #write(bytes) {
    if (!this.open) return false;
    if (!this.#tcp.write(bytes)) {
      const room = new Promise((resolve) => this.#tcp.once("drain", resolve));
      await Promise.race([room, this.closed]);
    }
    return this.open;
  }

  /** A frame's header: lengths over 65,535 take eight bytes, and nothing between 126 and that is sent. */
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
