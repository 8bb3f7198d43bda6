import { setTimeout as pause } from "node:timers/promises";
import { within } from "../harness/eventually.mjs";
import { SocketPeer } from "../peers/socket-peer.mjs";

const BYTES = 1_200;

/** Maximum wait for a chunk to reach every subscriber. */
const PATIENCE_MS = 60_000;

/** Connects a publisher and creates its room and track. */
export async function startPublisher(t, url) {
  const publisher = await SocketPeer.connect(t, url, "websocket", "publisher");
  const { room } = await publisher.request("room:create");
  await publisher.join(room.id);
  const { track } = await publisher.request("track:publish", { kind: "audio", codec: "opus" });
  return { publisher, room: room.id, track: track.id };
}

/** Connects subscribers one after another, so that every run does the same. */
export async function startAudience(t, url, room, count) {
  const peers = [];
  for (let index = 0; index < count; index++) {
    const peer = await SocketPeer.connect(t, url, "websocket", `subscriber ${index}`);
    await peer.join(room);
    peers.push(peer);
  }
  return peers;
}

/**
 * Sends chunks. Each waits until every subscriber and the publisher's acknowledgement have received the last, so that
 * every run does the same. Returns the duration in ms; keeps the connections open for `atLeastMs` in all.
 */
export async function sendChunks({ publisher, track }, audience, { chunks, atLeastMs = 0 }) {
  const begin = performance.now();
  const { engine } = publisher.socket.io;
  const tcp = engine.transport.ws._socket;
  let missing;
  let complete;
  const arrived = () => {
    missing -= 1;
    if (missing === 0) complete();
  };
  for (const { socket } of audience) {
    socket.offAny();
    socket.on("media", arrived);
  }
  engine.on("data", (packet) => {
    if (String(packet).includes('[{"ok":true,')) arrived();
  });
  for (let index = 0; index < chunks; index++) {
    const everywhere = new Promise((resolve) => (complete = resolve));
    missing = audience.length + 1;
    // One write for both frames. The stock client takes two, which a node sometimes reads at once.
    tcp.write(encode(track, index));
    await within(`chunk ${index} reaches every subscriber`, everywhere, PATIENCE_MS);
  }
  const ms = performance.now() - begin;
  await pause(Math.max(0, atLeastMs - ms));
  return ms;
}

/** Returns the frames of a chunk that requests an acknowledgement. */
function encode(track, index) {
  const header = `451-${1_000_000 + index}["media",{"track":${track},"ts":${index}},{"_placeholder":true,"num":0}]`;
  return Buffer.concat([frame(0x81, Buffer.from(header)), frame(0x82, Buffer.alloc(BYTES))]);
}

/** Returns a masked frame. */
function frame(first, payload) {
  const mask = [1, 2, 3, 4];
  const { length } = payload;
  const size = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([first, ...size, ...mask]), payload.map((byte, at) => byte ^ mask[at % 4])]);
}
