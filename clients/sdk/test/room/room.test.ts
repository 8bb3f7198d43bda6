import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Connection } from "../../src/connection/connection";
import type { Reconnector } from "../../src/connection/reconnector";
import { WeirError } from "../../src/errors";
import type { Snapshot } from "../../src/protocol";
import { Room } from "../../src/room/room";
import { dataTrack, FakeConnection, FakeReconnector, snapshot, wireMember } from "../fakes";

let reconnector: FakeReconnector;
let room: Room;
let emitted: string[];

beforeEach(() => {
  vi.useFakeTimers();
  reconnector = new FakeReconnector();
  room = new Room(
    reconnector as unknown as Reconnector,
    reconnector.connection as unknown as Connection,
    undefined,
  );
  emitted = [];
  room.on("member:joined", ({ id }) => emitted.push(`${id} joined`));
  room.on("member:left", ({ id }, reason) => emitted.push(`${id} left: ${reason}`));
  room.on("track:published", ({ id }) => emitted.push(`track ${id}`));
  room.on("track:unpublished", ({ id }) => emitted.push(`no track ${id}`));
  room.on("state", (state) => emitted.push(state));
});
afterEach(() => {
  room.close();
  vi.useRealTimers();
});

async function join(found: Snapshot): Promise<FakeConnection> {
  const connection = reconnector.connection as FakeConnection;
  connection.answer = (event) => (event === "room:join" ? found : {});
  await room.join("r", { name: "me" });
  return connection;
}

test("join emits other members and tracks before it resolves", async () => {
  await join(snapshot(4, ["ann"], [dataTrack(1, "ann")]));
  expect(emitted).toEqual(["ann joined", "track 1", "joined"]);
  expect([...room.members.keys()]).toEqual(["me", "ann"]);
  expect(room.self?.isSelf).toBe(true);
});

test("events that arrive with the answer are emitted after the snapshot", async () => {
  const connection = reconnector.connection as FakeConnection;
  connection.answer = () => {
    connection.notice("member:joined", { member: wireMember("bob"), version: 5 });
    connection.notice("member:joined", { member: wireMember("ann"), version: 3 });
    return snapshot(4, ["ann"]);
  };
  await room.join("r");
  expect(emitted).toEqual(["ann joined", "bob joined", "joined"]);
});

test("refused join changes nothing", async () => {
  const connection = reconnector.connection as FakeConnection;
  connection.answer = () => {
    throw new WeirError("room_full", "full");
  };
  await expect(room.join("r")).rejects.toMatchObject({ code: "room_full" });
  expect(room.state).toBe("connected");
  expect(room.members.size).toBe(0);
});

test("reconnect rejoins the room and emits missed changes", async () => {
  await join(snapshot(4, ["ann", "bob"], [dataTrack(1, "ann")]));
  emitted.length = 0;
  reconnector.lose();
  expect(room.state).toBe("reconnecting");
  await expect(room.send("hello")).rejects.toMatchObject({ code: "disconnected" });
  const next = new FakeConnection();
  next.answer = () => snapshot(20, ["bob", "cid"], [dataTrack(7, "cid")], "me2");
  reconnector.restore(next);
  await vi.waitFor(() => expect(room.state).toBe("joined"));
  expect(emitted).toEqual([
    "reconnecting",
    "no track 1",
    "ann left: disconnected",
    "cid joined",
    "track 7",
    "joined",
  ]);
  expect(next.asked[0]).toMatchObject(["room:join", { room: "r", name: "me" }]);
  expect(room.self?.id).toBe("me2");
});

test("reconnect republishes tracks under new ids", async () => {
  const connection = await join(snapshot(4, []));
  connection.answer = () => ({ track: dataTrack(3, "me") });
  const track = await room.publishChunks({ kind: "data", codec: "text" });
  track.write(new Uint8Array([1]), { ts: 5 });
  expect(connection.sent).toEqual([[{ track: 3, ts: 5 }, new Uint8Array([1])]]);
  reconnector.lose();
  expect(() => track.write(new Uint8Array([2]))).toThrow("no connection");
  const next = new FakeConnection();
  next.answer = (event) => (event === "room:join" ? snapshot(9, []) : { track: dataTrack(8, "me") });
  reconnector.restore(next);
  await vi.waitFor(() => expect(track.id).toBe(8));
  track.write(new Uint8Array([3]), { ts: 6, key: true });
  expect(next.sent).toEqual([[{ track: 8, ts: 6, key: true }, new Uint8Array([3])]]);
});

test("init is base64 on the wire, whatever the number of tracks", async () => {
  const init = new Uint8Array([0x1a, 0x45, 0xdf, 0xa3]);
  const tracks = Array.from({ length: 11 }, (_, at) => ({ ...dataTrack(at + 1, "ann"), init: "GkXfow==" }));
  const connection = await join(snapshot(4, ["ann"], tracks));
  expect(room.tracks.size).toBe(11);
  connection.answer = () => ({ track: dataTrack(12, "me") });
  await room.publishChunks({ kind: "data", codec: "text", init });
  expect(connection.asked.at(-1)).toEqual([
    "track:publish",
    { kind: "data", codec: "text", init: "GkXfow==" },
  ]);
});

test("rejoin waits for the seat of the lost connection", async () => {
  await join(snapshot(4, []));
  reconnector.lose();
  const next = new FakeConnection();
  let attempts = 0;
  next.answer = () => {
    attempts += 1;
    if (attempts < 3) throw new WeirError("room_full", "full");
    return snapshot(9, []);
  };
  reconnector.restore(next);
  // `waitFor` also advances the fake clock.
  await vi.waitFor(() => expect(room.state).toBe("joined"), { interval: 500, timeout: 10_000 });
  expect(attempts).toBe(3);
});

test("rejoin into a missing room closes the room with the reason", async () => {
  await join(snapshot(4, ["ann"]));
  const closed = vi.fn();
  room.on("state", closed);
  reconnector.lose();
  const next = new FakeConnection();
  next.answer = () => {
    throw new WeirError("room_not_found", "gone");
  };
  reconnector.restore(next);
  await vi.waitFor(() => expect(room.state).toBe("closed"));
  expect(closed).toHaveBeenLastCalledWith("closed", expect.objectContaining({ code: "room_not_found" }));
  expect(room.members.size).toBe(0);
});

test("rejoined member replaces its predecessor for itself and for others", async () => {
  const first = await join(snapshot(4, ["ann"]));
  const said = ({ asked: [first] }: FakeConnection) => {
    const [, argument] = first as [string, { metadata: { weir: { seal: string; after?: { id: string } } } }];
    return argument.metadata;
  };
  // Another member of the room sees both joins.
  const otherReconnector = new FakeReconnector();
  const other = new Room(
    otherReconnector as unknown as Reconnector,
    otherReconnector.connection as unknown as Connection,
    undefined,
  );
  const seen: string[] = [];
  other.on("member:joined", ({ id }) => seen.push(`${id} joined`));
  other.on("member:left", ({ id }) => seen.push(`${id} left`));
  const otherConnection = otherReconnector.connection as FakeConnection;
  otherConnection.answer = () => snapshot(4, ["ann"], [], "other");
  await other.join("r");
  const come = (id: string, connection: FakeConnection, version: number) =>
    otherConnection.notice("member:joined", {
      member: { ...wireMember(id), metadata: said(connection) },
      version,
    });
  come("me", first, 5);

  emitted.length = 0;
  reconnector.lose();
  const next = new FakeConnection();
  // The room still lists the lost member.
  next.answer = () => snapshot(9, ["ann", "me"], [dataTrack(3, "me")], "me2");
  reconnector.restore(next);
  await vi.waitFor(() => expect(room.state).toBe("joined"));
  expect([...room.members.keys()]).toEqual(["ann", "me2"]);
  expect(room.tracks.size).toBe(0);
  expect(emitted).toEqual(["reconnecting", "joined"]);
  expect(said(next).weir.after).toMatchObject({ id: "me" });

  come("me2", next, 6);
  await vi.waitFor(() => expect([...other.members.keys()]).toEqual(["other", "ann", "me2"]));
  otherConnection.notice("member:left", { id: "me", reason: "disconnected", version: 7 });
  expect(seen.filter((each) => each.startsWith("me left"))).toHaveLength(1);

  // A claim without proof has no effect.
  const liar = { weir: { seal: "", after: { id: "me2", secret: "guessed" } } };
  otherConnection.notice("member:joined", { member: { ...wireMember("liar"), metadata: liar }, version: 8 });
  await vi.advanceTimersByTimeAsync(100);
  expect([...other.members.keys()]).toEqual(["other", "ann", "me2", "liar"]);
  other.close();
});

test("draining node is left when it says so", async () => {
  const connection = await join(snapshot(4, []));
  connection.notice("node:draining", { reconnectInMs: 1_500 });
  expect(reconnector.replace).toHaveBeenCalledWith(1_500);
});

test("chunks and gaps are emitted in order", async () => {
  const connection = await join(snapshot(4, ["ann"], [dataTrack(1, "ann")]));
  const seen: unknown[] = [];
  const track = room.tracks.get(1);
  track?.on("chunk", ({ seq }) => seen.push(seq));
  track?.on("gap", ({ from, to, reason }) => seen.push([from, to, reason]));
  connection.emit("media", { track: 1, seq: 1, ts: 0 }, new Uint8Array([1]));
  connection.notice("media:gap", { track: 1, from: 2, to: 4, reason: "slow" });
  connection.emit("media", { track: 1, seq: 5, ts: 0, key: true }, new Uint8Array([1]));
  await vi.waitFor(() => expect(seen).toEqual([1, [2, 4, "slow"], 5]));
  expect(track?.stats()).toMatchObject({ chunks: 2, gaps: 1, lost: 3 });
});

test("unsolicited refusals are emitted once a second for each code", async () => {
  const connection = await join(snapshot(4, []));
  const codes: string[] = [];
  room.on("error", ({ code }) => codes.push(code));
  const refuse = (code: string) =>
    connection.notice("error", { event: "media", error: { code, message: "no", retryable: true } });
  refuse("rate_limited");
  refuse("rate_limited");
  refuse("too_large");
  vi.advanceTimersByTime(1_500);
  refuse("rate_limited");
  expect(codes).toEqual(["rate_limited", "too_large", "rate_limited"]);
});
