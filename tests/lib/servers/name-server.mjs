import { createSocket } from "node:dgram";
import { decode, encode } from "dns-packet";
import { atEnd } from "../harness/at-end.mjs";

/** Starts a DNS server for one name, whose current `addresses` it returns. */
export async function serveName(t, name, addresses) {
  const socket = createSocket("udp4");
  atEnd(t, () => new Promise((resolve) => socket.close(resolve)));
  const known = { addresses };
  socket.on("message", (query, { port, address }) => {
    const { id, questions } = decode(query);
    const asked = questions[0].name === name && questions[0].type === "A";
    const answers = asked ? known.addresses.map((data) => ({ type: "A", name, ttl: 1, data })) : [];
    socket.send(encode({ type: "response", id, questions, answers }), port, address);
  });
  await new Promise((resolve) => socket.bind(0, "127.0.0.1", resolve));
  known.server = `127.0.0.1:${socket.address().port}`;
  return known;
}
