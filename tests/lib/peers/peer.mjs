import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { within } from "../harness/eventually.mjs";

/**
 * Client of any kind that records all events in order. Subclasses add the connection; the tests are
 * the same for all.
 */
export class Peer {
  /** Received events as `{ event, args }`, in order. */
  told = [];
  #arrival = new EventEmitter().setMaxListeners(0);

  constructor(label) {
    this.label = label;
  }

  /** Records an event of the server; called by subclasses. */
  tell(event, args) {
    this.told.push({ event, args });
    this.#arrival.emit("told");
  }

  /** Returns the first argument of each received `event`. */
  all(event) {
    return this.told.filter((each) => each.event === event).map((each) => each.args[0]);
  }

  /** Returns the received chunks of a track, in order. */
  chunks(track) {
    return this.told
      .filter(({ event, args }) => event === "media" && args[0].track === track)
      .map(({ args: [header, payload] }) => ({ header, payload }));
  }

  /** Waits until `condition` holds, which is checked after each event. */
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

  /** Waits for an event whose first argument satisfies `matches`; earlier events count. */
  event(event, matches = () => true) {
    return this.until(`is told ${event}`, () => this.all(event).find(matches));
  }

  /** Sends a request that must be granted. Resolves with its result without `ok`. */
  async request(event, ...args) {
    const { ok, ...result } = await this.ask(event, ...args);
    assert.equal(ok, true, `${this.label}: ${event} is refused: ${JSON.stringify(result)}`);
    return result;
  }

  /** Sends a request that must be refused. Resolves with its error. */
  async refusal(event, ...args) {
    const ack = await this.ask(event, ...args);
    assert.equal(ack.ok, false, `${this.label}: ${event} is granted: ${JSON.stringify(ack)}`);
    return ack.error;
  }

  /** Joins a room and keeps the answer as `joined`. */
  async join(room, options = {}) {
    this.joined = await this.request("room:join", { room, name: this.label, ...options });
    return this.joined;
  }

  /** Own member id. */
  get id() {
    return this.joined.self.id;
  }
}
