import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Connection } from "../../src/connection/connection";
import type { Link } from "../../src/connection/reconnector";
import { WeirError } from "../../src/errors";
import type { Snapshot } from "../../src/protocol";
import { Room } from "../../src/room/room";
import { data, FakeConnection, FakeLink, member, snapshot } from "../fakes";

let link: FakeLink;
let room: Room;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers();
  link = new FakeLink();
  room = new Room(link as unknown as Link, link.connection as unknown as Connection, undefined);
  told = [];
  room.on("member:joined", ({ id }) => told.push(`${id} came`));
  room.on("member:left", ({ id }, reason) => told.push(`${id} went: ${reason}`));
  room.on("track:published", ({ id }) => told.push(`track ${id}`));
  room.on("track:unpublished", ({ id }) => told.push(`no track ${id}`));
  room.on("state", (state) => told.push(state));
});
afterEach(() => {
  room.close();
  vi.useRealTimers();
});

async function join(found: Snapshot): Promise<FakeConnection> {
  const connection = link.connection as FakeConnection;
  connection.answer = (event) => (event === "room:join" ? found : {});
  await room.join("r", { name: "me" });
  return connection;
}

test("a join tells of everybody who is there, oneself apart, before it is done", async () => {
  await join(snapshot(4, ["ann"], [data(1, "ann")]));
  expect(told).toEqual(["ann came", "track 1", "joined"]);
  expect([...room.members.keys()]).toEqual(["me", "ann"]);
  expect(room.self?.isSelf).toBe(true);
});

test("what comes with the answer is told after what it says", async () => {
  const connection = link.connection as FakeConnection;
  connection.answer = () => {
    connection.notice("member:joined", { member: member("bob"), version: 5 });
    connection.notice("member:joined", { member: member("ann"), version: 3 });
    return snapshot(4, ["ann"]);
  };
  await room.join("r");
  expect(told).toEqual(["ann came", "bob came", "joined"]);
});

test("a refused join leaves nothing behind", async () => {
  const connection = link.connection as FakeConnection;
  connection.answer = () => {
    throw new WeirError("room_full", "full");
  };
  await expect(room.join("r")).rejects.toMatchObject({ code: "room_full" });
  expect(room.state).toBe("connected");
  expect(room.members.size).toBe(0);
});

test("after a lost connection it is in the room again, and tells what changed meanwhile", async () => {
  await join(snapshot(4, ["ann", "bob"], [data(1, "ann")]));
  told.length = 0;
  link.lose();
  expect(room.state).toBe("reconnecting");
  await expect(room.send("hello")).rejects.toMatchObject({ code: "disconnected" });
  const next = new FakeConnection();
  next.answer = () => snapshot(20, ["bob", "cid"], [data(7, "cid")], "me2");
  link.restore(next);
  await vi.waitFor(() => expect(room.state).toBe("joined"));
  expect(told).toEqual([
    "reconnecting",
    "no track 1",
    "ann went: disconnected",
    "cid came",
    "track 7",
    "joined",
  ]);
  expect(next.asked[0]).toMatchObject(["room:join", { room: "r", name: "me" }]);
  expect(room.self?.id).toBe("me2");
});

test("a published track is published again, under its new number", async () => {
  const connection = await join(snapshot(4, []));
  connection.answer = () => ({ track: data(3, "me") });
  const track = await room.publishChunks({ kind: "data", codec: "text" });
  track.write(new Uint8Array([1]), { ts: 5 });
  expect(connection.sent).toEqual([[{ track: 3, ts: 5 }, new Uint8Array([1])]]);
  link.lose();
  expect(() => track.write(new Uint8Array([2]))).toThrow("no connection");
  const next = new FakeConnection();
  next.answer = (event) => (event === "room:join" ? snapshot(9, []) : { track: data(8, "me") });
  link.restore(next);
  await vi.waitFor(() => expect(track.id).toBe(8));
  track.write(new Uint8Array([3]), { ts: 6, key: true });
  expect(next.sent).toEqual([[{ track: 8, ts: 6, key: true }, new Uint8Array([3])]]);
});

test("init goes over the wire as base64, and comes back as it is in a room with any number of tracks", async () => {
  const init = new Uint8Array([0x1a, 0x45, 0xdf, 0xa3]);
  const tracks = Array.from({ length: 11 }, (_, at) => ({ ...data(at + 1, "ann"), init: "GkXfow==" }));
  const connection = await join(snapshot(4, ["ann"], tracks));
  expect(room.tracks.size).toBe(11);
  connection.answer = () => ({ track: data(12, "me") });
  await room.publishChunks({ kind: "data", codec: "text", init });
  expect(connection.asked.at(-1)).toEqual([
    "track:publish",
    { kind: "data", codec: "text", init: "GkXfow==" },
  ]);
});

test("a seat that the lost connection still holds is waited for", async () => {
  await join(snapshot(4, []));
  link.lose();
  const next = new FakeConnection();
  let attempts = 0;
  next.answer = () => {
    attempts += 1;
    if (attempts < 3) throw new WeirError("room_full", "full");
    return snapshot(9, []);
  };
  link.restore(next);
  // Also the fake clock goes on while it is waited.
  await vi.waitFor(() => expect(room.state).toBe("joined"), { interval: 500, timeout: 10_000 });
  expect(attempts).toBe(3);
});

test("a room that is gone meanwhile ends it, with the reason", async () => {
  await join(snapshot(4, ["ann"]));
  const closed = vi.fn();
  room.on("state", closed);
  link.lose();
  const next = new FakeConnection();
  next.answer = () => {
    throw new WeirError("room_not_found", "gone");
  };
  link.restore(next);
  await vi.waitFor(() => expect(room.state).toBe("closed"));
  expect(closed).toHaveBeenLastCalledWith("closed", expect.objectContaining({ code: "room_not_found" }));
  expect(room.members.size).toBe(0);
});

test("who came back is not there twice, for itself and for others", async () => {
  const first = await join(snapshot(4, ["ann"]));
  const said = ({ asked: [first] }: FakeConnection) => {
    const [, argument] = first as [string, { metadata: { weir: { seal: string; after?: { id: string } } } }];
    return argument.metadata;
  };
  // A second member of the room, who sees the first one come and come back.
  const otherLink = new FakeLink();
  const other = new Room(
    otherLink as unknown as Link,
    otherLink.connection as unknown as Connection,
    undefined,
  );
  const seen: string[] = [];
  other.on("member:joined", ({ id }) => seen.push(`${id} came`));
  other.on("member:left", ({ id }) => seen.push(`${id} went`));
  const otherConnection = otherLink.connection as FakeConnection;
  otherConnection.answer = () => snapshot(4, ["ann"], [], "other");
  await other.join("r");
  const come = (id: string, connection: FakeConnection, version: number) =>
    otherConnection.notice("member:joined", {
      member: { ...member(id), metadata: said(connection) },
      version,
    });
  come("me", first, 5);

  told.length = 0;
  link.lose();
  const next = new FakeConnection();
  // The room still has the member that was lost.
  next.answer = () => snapshot(9, ["ann", "me"], [data(3, "me")], "me2");
  link.restore(next);
  await vi.waitFor(() => expect(room.state).toBe("joined"));
  expect([...room.members.keys()]).toEqual(["ann", "me2"]);
  expect(room.tracks.size).toBe(0);
  expect(told).toEqual(["reconnecting", "joined"]);
  expect(said(next).weir.after).toMatchObject({ id: "me" });

  come("me2", next, 6);
  await vi.waitFor(() => expect([...other.members.keys()]).toEqual(["other", "ann", "me2"]));
  otherConnection.notice("member:left", { id: "me", reason: "disconnected", version: 7 });
  expect(seen.filter((each) => each.startsWith("me went"))).toHaveLength(1);

  // Who cannot prove it succeeds nobody.
  const liar = { weir: { seal: "", after: { id: "me2", secret: "guessed" } } };
  otherConnection.notice("member:joined", { member: { ...member("liar"), metadata: liar }, version: 8 });
  await vi.advanceTimersByTimeAsync(100);
  expect([...other.members.keys()]).toEqual(["other", "ann", "me2", "liar"]);
  other.close();
});

test("a node that is being replaced is left when it says so", async () => {
  const connection = await join(snapshot(4, []));
  connection.notice("node:draining", { reconnectInMs: 1_500 });
  expect(link.move).toHaveBeenCalledWith(1_500);
});

test("chunks reach their track's listeners in order, and gaps between them", async () => {
  const connection = await join(snapshot(4, ["ann"], [data(1, "ann")]));
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

test("refusals that nobody waits for are told, of each code one a second", async () => {
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
