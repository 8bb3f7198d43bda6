import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { within } from "../harness/eventually.mjs";

/**
 * A client of any kind with everything it was told, in order. `SocketPeer` and `PythonPeer` add
 * the connection; the tests are the same for both.
 */
export class Peer {
  /** `{ event, args }` in order of arrival. */
  told = [];
  #arrival = new EventEmitter().setMaxListeners(0);

  constructor(label) {
    this.label = label;
  }

  /** To be called by subclasses with each event of the server. */
  tell(event, args) {
    this.told.push({ event, args });
    this.#arrival.emit("told");
  }

  /** Everything that it was told as `event`, as the first argument of each. */
  all(event) {
    return this.told.filter((each) => each.event === event).map((each) => each.args[0]);
  }

  /** The chunks of a track, in order of arrival. */
  chunks(track) {
    return this.told
      .filter(({ event, args }) => event === "media" && args[0].track === track)
      .map(({ args: [header, payload] }) => ({ header, payload }));
  }

  /** Waits until `condition` holds, looked at after each arrival. */
  async until(what, condition, timeoutMs) {
    let look;
    const reached = new Promise((resolve, reject) => {
      look = () => {
        try {
          const value = condition();
          if (value) resolve(value);
        } catch (error) {
          reject(error);
        }
      };
      this.#arrival.on("told", look);
      look();
    });
    try {
      return await within(`${this.label}: ${what}`, reached, timeoutMs);
    } finally {
      this.#arrival.off("told", look);
    }
  }

  /** Waits for an event whose first argument satisfies `matches`, also one that came before. */
  event(event, matches = () => true) {
    return this.until(`is told ${event}`, () => this.all(event).find(matches));
  }

  /** A request that must be granted: resolves with its result, `ok` left out. */
  async request(event, ...args) {
    const { ok, ...result } = await this.ask(event, ...args);
    assert.equal(ok, true, `${this.label}: ${event} is refused: ${JSON.stringify(result)}`);
    return result;
  }

  /** A request that must be refused: resolves with its error. */
  async refusal(event, ...args) {
    const ack = await this.ask(event, ...args);
    assert.equal(ack.ok, false, `${this.label}: ${event} is granted: ${JSON.stringify(ack)}`);
    return ack.error;
  }

  /** Joins; the answer is kept as `joined`. */
  async join(room, options = {}) {
    this.joined = await this.request("room:join", { room, name: this.label, ...options });
    return this.joined;
  }

  /** The id of the member that it is. */
  get id() {
    return this.joined.self.id;
  }
}
