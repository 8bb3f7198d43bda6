// Relay as the tutorials of Socket.IO teach it, with the part of Weir's wire contract that weir-bench needs: stock
// `socket.io` on stock `ws`, rooms by `socket.join`, media by `socket.to(room).emit`. Heartbeat and compression (off)
// have their defaults. WebSocket only, as all connections of the benchmark.
//
// With REDIS_URL it is a node of a cluster that `@socket.io/redis-adapter` joins as its manual says, on `redis` 4, with
// which the adapter is developed. ADAPTER is `classic` (createAdapter) or `sharded` (createShardedAdapter), each with its
// defaults. Events cross nodes; members, tracks and versions in the answer to a join are those of the own node. Sharing
// them would cost Node more, not less.

import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const { ADAPTER, REDIS_URL } = process.env;

async function adapter(url, kind) {
  const create = { classic: createAdapter, sharded: createShardedAdapter }[kind];
  if (!create) throw new Error(`ADAPTER must be classic or sharded, is ${kind}`);
  const publishing = createClient({ url });
  const subscribing = publishing.duplicate();
  for (const client of [publishing, subscribing]) {
    client.on("error", (error) => {
      console.error(JSON.stringify({ message: "redis failed", error: String(error) }));
    });
  }
  await Promise.all([publishing.connect(), subscribing.connect()]);
  return create(publishing, subscribing);
}

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  ...(REDIS_URL && { adapter: await adapter(REDIS_URL, ADAPTER) }),
});

/** Rooms by id: `{ members: Map<member id, member>, tracks: Map<track id, track>, version }`. */
const rooms = new Map();

const open = (id) => {
  rooms.set(id, { id, members: new Map(), tracks: new Map(), lastTrack: 0, version: 0 });
};

const fail = (ack, code, message) =>
  ack?.({ ok: false, error: { code, message, retryable: false } });

io.on("connection", (socket) => {
  const self = { id: randomBytes(8).toString("hex"), name: "", metadata: null, joinedAt: 0 };
  let room = null;

  socket.on("room:create", ({ id = randomBytes(9).toString("base64url") } = {}, ack) => {
    if (rooms.has(id)) return fail(ack, "room_exists", `room "${id}" exists`);
    open(id);
    ack?.({ ok: true, room: { id } });
  });

  socket.on("room:join", ({ room: id, name = "" }, ack) => {
    if (room) return fail(ack, "already_joined", `already in room "${room.id}"`);
    // Another node may have the room; only a node without a cluster knows that it does not exist.
    if (!rooms.has(id) && REDIS_URL) open(id);
    if (!rooms.has(id)) return fail(ack, "room_not_found", `no room "${id}"`);
    room = rooms.get(id);
    self.name = name;
    self.joinedAt = Date.now();
    room.members.set(self.id, self);
    room.version += 1;
    socket.join(id);
    ack?.({
      ok: true,
      room: { id },
      self,
      members: [...room.members.values()],
      tracks: [...room.tracks.values()].map((track) => track.description),
      version: room.version,
    });
    socket.to(id).emit("member:joined", { member: self, version: room.version });
  });

  socket.on("track:publish", (description, ack) => {
    if (!room) return fail(ack, "not_joined", "join a room first");
    const id = ++room.lastTrack;
    const track = { seq: 0, member: self.id, description: { ...description, id, member: self.id } };
    room.tracks.set(id, track);
    room.version += 1;
    ack?.({ ok: true, track: track.description });
    socket.to(room.id).emit("track:published", { track: track.description, version: room.version });
  });

  socket.on("media", (header, payload) => {
    const track = room?.tracks.get(header.track);
    if (track?.member !== self.id) return;
    socket.to(room.id).emit("media", { ...header, seq: ++track.seq }, payload);
  });

  socket.on("disconnect", () => {
    if (!room) return;
    room.members.delete(self.id);
    room.version += 1;
    for (const [id, track] of room.tracks) {
      if (track.member === self.id) room.tracks.delete(id);
    }
    socket.to(room.id).emit("member:left", {
      id: self.id,
      reason: "disconnected",
      version: room.version,
    });
    if (room.members.size === 0) rooms.delete(room.id);
  });
});

http.listen(0, "127.0.0.1", () => {
  const { address, port } = http.address();
  console.error(JSON.stringify({ message: "listening", listen: `${address}:${port}` }));
});

for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(0));
