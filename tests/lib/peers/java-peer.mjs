import { ProcessPeer, TESTS } from "./process-peer.mjs";

/** Stock `socket.io-client-java` in a process of its own. */
export class JavaPeer extends ProcessPeer {
  constructor(label) {
    super(label, "java", "-cp", `${TESTS}.java/*`, `${TESTS}lib/peers/java/Client.java`);
  }

  /** Connects, only by `transports` if given; ends at the end of the test `t`. */
  static connect(t, url, transports = null, label = "java") {
    return new JavaPeer(label).start(t, url, transports);
  }
}
