import { ProcessPeer, TESTS } from "./process-peer.mjs";

/** Stock `python-socketio` in a process of its own. */
export class PythonPeer extends ProcessPeer {
  constructor(label) {
    super(label, `${TESTS}.venv/bin/python`, `${TESTS}lib/peers/python/client.py`);
  }

  /** Connects, only by `transports` if given; ends at the end of the test `t`. */
  static connect(t, url, transports = null, label = "python") {
    return new PythonPeer(label).start(t, url, transports);
  }

  /** Resolves with the transport in use. */
  get transport() {
    return this.command("transport");
  }
}
