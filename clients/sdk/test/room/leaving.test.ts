import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Connection } from "../../src/connection/connection";
import type { Link } from "../../src/connection/reconnector";
import { closedError, WeirError } from "../../src/errors";
import { Room } from "../../src/room/room";
import { data, FakeConnection, FakeLink, snapshot } from "../fakes";

let link: FakeLink;
let room: Room;
let states: string[];

beforeEach(async () => {
  vi.useFakeTimers();
  link = new FakeLink();
  room = new Room(link as unknown as Link, link.connection as unknown as Connection, undefined);
  states = [];
  room.on("state", (state) => states.push(state));
});
afterEach(() => {
  room.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function joined(): Promise<FakeConnection> {
  const connection = link.connection as FakeConnection;
  connection.answer = (event) => (event === "room:join" ? snapshot(4, ["ann"]) : { track: data(3, "me") });
  await room.join("r");
  return connection;
}

/** Creates a request that is answered on demand. */
function held() {
  let answer: (value: unknown) => void = () => {};
  let refuse: (error: unknown) => void = () => {};
  const promise = new Promise((resolve, reject) => {
    answer = resolve;
    refuse = reject;
  });
  return { promise, answer, refuse };
}

test("leaving while it reconnects ends it at once, and nothing comes back", async () => {
  await joined();
  link.lose();
  await room.leave();
  expect(states).toEqual(["joined", "reconnecting", "closed"]);
  expect(link.close).toHaveBeenCalled();
  const next = new FakeConnection();
  link.restore(next);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(next.asked).toEqual([]);
  expect(room.state).toBe("closed");
  expect(room.members.size).toBe(0);
});

test("without a room there is none to leave", async () => {
  link.lose();
  await expect(room.leave()).rejects.toMatchObject({ code: "disconnected", retryable: true });
  expect(room.state).toBe("reconnecting");
});

test("leaving while it joins leaves once it has joined", async () => {
  const connection = link.connection as FakeConnection;
  connection.answer = (event) => (event === "room:join" ? snapshot(4, ["ann"]) : {});
  const joining = room.join("r");
  const leaving = room.leave();
  await Promise.all([joining, leaving]);
  expect(connection.asked.map(([event]) => event)).toEqual(["room:join", "room:leave"]);
  expect(states).toEqual(["joined", "connected"]);
  expect(room.info).toBeUndefined();
});

test("a joining that is refused leaves nothing to leave", async () => {
  const connection = link.connection as FakeConnection;
  connection.answer = () => {
    throw new WeirError("room_full", "full");
  };
  const joining = room.join("r");
  const leaving = room.leave();
  await expect(joining).rejects.toMatchObject({ code: "room_full" });
  await leaving;
  expect(connection.asked.map(([event]) => event)).toEqual(["room:join"]);
  expect(room.state).toBe("connected");
});

test("leaving while it comes back into the room ends it as well", async () => {
  await joined();
  link.lose();
  const next = new FakeConnection();
  const join = held();
  next.answer = () => join.promise;
  link.restore(next);
  await vi.waitFor(() => expect(next.asked).toHaveLength(1));
  await room.leave();
  expect(room.state).toBe("closed");
  join.answer(snapshot(9, [], [], "me2"));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(room.state).toBe("closed");
  expect(room.self).toBeUndefined();
});

test("a connection that is lost while it leaves has left", async () => {
  const connection = await joined();
  const leave = held();
  connection.answer = () => leave.promise;
  const leaving = room.leave();
  link.lose();
  leave.refuse(new WeirError("disconnected", "gone"));
  await leaving;
  expect(states).toEqual(["joined", "closed"]);
});

test("a node that does not answer does not keep anybody", async () => {
  const connection = await joined();
  connection.answer = () => {
    throw new WeirError("timeout", "no answer");
  };
  await room.leave();
  expect(room.state).toBe("closed");
});

test("a refused leaving changes nothing", async () => {
  const connection = await joined();
  connection.answer = () => {
    throw new WeirError("unavailable", "not now");
  };
  await expect(room.leave()).rejects.toMatchObject({ code: "unavailable", retryable: true });
  expect(room.state).toBe("joined");
});

test("after the end every call fails for good, with the reason", async () => {
  await joined();
  const track = await room.publishChunks({ kind: "data", codec: "text" });
  link.emit("failed", new WeirError("unauthorized", "the token has expired"));
  expect(room.state).toBe("closed");
  const fails = {
    code: "closed",
    retryable: false,
    message: expect.stringContaining("the token has expired"),
  };
  await expect(room.create()).rejects.toMatchObject(fails);
  await expect(room.join("r")).rejects.toMatchObject(fails);
  await expect(room.leave()).rejects.toMatchObject(fails);
  await expect(room.send("x")).rejects.toMatchObject(fails);
  await expect(room.update({ name: "x" })).rejects.toMatchObject(fails);
  await expect(room.publishCamera()).rejects.toMatchObject(fails);
  await expect(room.publishMicrophone()).rejects.toMatchObject(fails);
  await expect(room.publishScreen()).rejects.toMatchObject(fails);
  await expect(room.publishChunks({ kind: "data", codec: "text" })).rejects.toMatchObject(fails);
  await expect(track.mute()).rejects.toMatchObject({ code: "closed", retryable: false });
  await expect(track.unmute()).rejects.toMatchObject({ code: "closed", retryable: false });
  await track.unpublish();
  expect(() => track.write(new Uint8Array(1))).toThrow(
    expect.objectContaining({ code: "closed", retryable: false }),
  );
});

test("a room that is closed while it joins is in none", async () => {
  const connection = link.connection as FakeConnection;
  const join = held();
  connection.answer = () => join.promise;
  const joining = room.join("r");
  await vi.waitFor(() => expect(connection.asked).toHaveLength(1));
  room.close();
  join.answer(snapshot(4, ["ann"]));
  await expect(joining).rejects.toMatchObject({ code: "closed", retryable: false });
  expect(states).toEqual(["closed"]);
  expect(room.members.size).toBe(0);
});

test("a room that is closed while the user is asked for the camera fails at once, and lets go of it", async () => {
  await joined();
  const asked = held();
  vi.stubGlobal("navigator", { mediaDevices: { getUserMedia: () => asked.promise } });
  const publishing = room.publishCamera();
  room.close();
  await expect(publishing).rejects.toMatchObject({ code: "closed", retryable: false });
  const stop = vi.fn();
  asked.answer({ getTracks: () => [{ kind: "video", stop }] });
  await vi.waitFor(() => expect(stop).toHaveBeenCalled());
});

test("nothing is published into a room that it is not back in", async () => {
  await joined();
  link.lose();
  const next = new FakeConnection();
  const join = held();
  next.answer = () => join.promise;
  link.restore(next);
  await vi.waitFor(() => expect(next.asked).toHaveLength(1));
  await expect(room.publishChunks({ kind: "data", codec: "text" })).rejects.toMatchObject({
    code: "disconnected",
    retryable: true,
  });
  expect(next.asked.map(([event]) => event)).toEqual(["room:join"]);
});

test("who joined with `create` makes the room again when it comes back, and who did not does not", async () => {
  for (const [create, first, again] of [
    [true, true, true],
    ["return", undefined, true],
    [false, false, false],
    [undefined, undefined, undefined],
  ] as const) {
    link = new FakeLink();
    room.close();
    room = new Room(link as unknown as Link, link.connection as unknown as Connection, undefined);
    const connection = link.connection as FakeConnection;
    connection.answer = () => snapshot(4, []);
    await room.join("r", create === undefined ? {} : { create });
    const next = new FakeConnection();
    next.answer = () => snapshot(1, [], [], "me2");
    link.lose();
    link.restore(next);
    await vi.waitFor(() => expect(room.state).toBe("joined"));
    const asked = [connection, next].map(
      ({ asked: [join] }) => (join?.[1] as { create?: boolean } | undefined)?.create,
    );
    expect(asked, String(create)).toEqual([first, again]);
  }
});

test("a raw track tells of each request for a key chunk, and of a new beginning", async () => {
  const connection = await joined();
  const track = await room.publishChunks({ kind: "video", codec: "vp8" });
  const asked = vi.fn();
  track.on("keyrequest", asked);
  connection.notice("track:keyframe-requested", { track: 99 });
  expect(asked).not.toHaveBeenCalled();
  connection.notice("track:keyframe-requested", { track: 3 });
  expect(asked).toHaveBeenCalledTimes(1);
  link.lose();
  const next = new FakeConnection();
  next.answer = (event) => (event === "room:join" ? snapshot(9, []) : { track: data(8, "me") });
  link.restore(next);
  await vi.waitFor(() => expect(track.id).toBe(8));
  expect(asked).toHaveBeenCalledTimes(2);
});

test("the error of the end is one that requests get", () => {
  room.close();
  expect(link.close).toHaveBeenCalledWith(expect.objectContaining({ code: closedError().code }));
});
