import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Connection } from "../../src/connection/connection";
import type { Reconnector } from "../../src/connection/reconnector";
import { closedError, WeirError } from "../../src/errors";
import { Room } from "../../src/room/room";
import { dataTrack, FakeConnection, FakeReconnector, snapshot } from "../fakes";

let reconnector: FakeReconnector;
let room: Room;
let states: string[];

beforeEach(async () => {
  vi.useFakeTimers();
  reconnector = new FakeReconnector();
  room = new Room(
    reconnector as unknown as Reconnector,
    reconnector.connection as unknown as Connection,
    undefined,
  );
  states = [];
  room.on("state", (state) => states.push(state));
});
afterEach(() => {
  room.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function joined(): Promise<FakeConnection> {
  const connection = reconnector.connection as FakeConnection;
  connection.answer = (event) =>
    event === "room:join" ? snapshot(4, ["ann"]) : { track: dataTrack(3, "me") };
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

test("leaving during a reconnect closes the room at once", async () => {
  await joined();
  reconnector.lose();
  await room.leave();
  expect(states).toEqual(["joined", "reconnecting", "closed"]);
  expect(reconnector.close).toHaveBeenCalled();
  const next = new FakeConnection();
  reconnector.restore(next);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(next.asked).toEqual([]);
  expect(room.state).toBe("closed");
  expect(room.members.size).toBe(0);
});

test("leaving outside a room during a reconnect is refused", async () => {
  reconnector.lose();
  await expect(room.leave()).rejects.toMatchObject({ code: "disconnected", retryable: true });
  expect(room.state).toBe("reconnecting");
});

test("leaving during a join leaves after it", async () => {
  const connection = reconnector.connection as FakeConnection;
  connection.answer = (event) => (event === "room:join" ? snapshot(4, ["ann"]) : {});
  const joining = room.join("r");
  const leaving = room.leave();
  await Promise.all([joining, leaving]);
  expect(connection.asked.map(([event]) => event)).toEqual(["room:join", "room:leave"]);
  expect(states).toEqual(["joined", "connected"]);
  expect(room.info).toBeUndefined();
});

test("leaving during a refused join sends no request", async () => {
  const connection = reconnector.connection as FakeConnection;
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

test("leaving during a rejoin closes the room", async () => {
  await joined();
  reconnector.lose();
  const next = new FakeConnection();
  const join = held();
  next.answer = () => join.promise;
  reconnector.restore(next);
  await vi.waitFor(() => expect(next.asked).toHaveLength(1));
  await room.leave();
  expect(room.state).toBe("closed");
  join.answer(snapshot(9, [], [], "me2"));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(room.state).toBe("closed");
  expect(room.self).toBeUndefined();
});

test("connection lost while leaving closes the room", async () => {
  const connection = await joined();
  const leave = held();
  connection.answer = () => leave.promise;
  const leaving = room.leave();
  reconnector.lose();
  leave.refuse(new WeirError("disconnected", "gone"));
  await leaving;
  expect(states).toEqual(["joined", "closed"]);
});

test("leaving that times out closes the room", async () => {
  const connection = await joined();
  connection.answer = () => {
    throw new WeirError("timeout", "no answer");
  };
  await room.leave();
  expect(room.state).toBe("closed");
});

test("refused leaving keeps the room", async () => {
  const connection = await joined();
  connection.answer = () => {
    throw new WeirError("unavailable", "not now");
  };
  await expect(room.leave()).rejects.toMatchObject({ code: "unavailable", retryable: true });
  expect(room.state).toBe("joined");
});

test("every call on a closed room fails with the cause", async () => {
  await joined();
  const track = await room.publishChunks({ kind: "data", codec: "text" });
  reconnector.emit("failed", new WeirError("unauthorized", "the token has expired"));
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

test("closing during a join rejects it", async () => {
  const connection = reconnector.connection as FakeConnection;
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

test("closing during the camera prompt rejects, and stops the camera", async () => {
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

test("publishing during a rejoin is refused", async () => {
  await joined();
  reconnector.lose();
  const next = new FakeConnection();
  const join = held();
  next.answer = () => join.promise;
  reconnector.restore(next);
  await vi.waitFor(() => expect(next.asked).toHaveLength(1));
  await expect(room.publishChunks({ kind: "data", codec: "text" })).rejects.toMatchObject({
    code: "disconnected",
    retryable: true,
  });
  expect(next.asked.map(([event]) => event)).toEqual(["room:join"]);
});

test("rejoin creates the room only if `create` says so", async () => {
  for (const [create, first, again] of [
    [true, true, true],
    ["return", undefined, true],
    [false, false, false],
    [undefined, undefined, undefined],
  ] as const) {
    reconnector = new FakeReconnector();
    room.close();
    room = new Room(
      reconnector as unknown as Reconnector,
      reconnector.connection as unknown as Connection,
      undefined,
    );
    const connection = reconnector.connection as FakeConnection;
    connection.answer = () => snapshot(4, []);
    await room.join("r", create === undefined ? {} : { create });
    const next = new FakeConnection();
    next.answer = () => snapshot(1, [], [], "me2");
    reconnector.lose();
    reconnector.restore(next);
    await vi.waitFor(() => expect(room.state).toBe("joined"));
    const asked = [connection, next].map(
      ({ asked: [join] }) => (join?.[1] as { create?: boolean } | undefined)?.create,
    );
    expect(asked, String(create)).toEqual([first, again]);
  }
});

test("raw track emits requests for key chunks, also after a reconnect", async () => {
  const connection = await joined();
  const track = await room.publishChunks({ kind: "video", codec: "vp8" });
  const asked = vi.fn();
  track.on("keyrequest", asked);
  connection.notice("track:keyframe-requested", { track: 99 });
  expect(asked).not.toHaveBeenCalled();
  connection.notice("track:keyframe-requested", { track: 3 });
  expect(asked).toHaveBeenCalledTimes(1);
  reconnector.lose();
  const next = new FakeConnection();
  next.answer = (event) => (event === "room:join" ? snapshot(9, []) : { track: dataTrack(8, "me") });
  reconnector.restore(next);
  await vi.waitFor(() => expect(track.id).toBe(8));
  expect(asked).toHaveBeenCalledTimes(2);
});

test("closing passes the closed error to pending requests", () => {
  room.close();
  expect(reconnector.close).toHaveBeenCalledWith(expect.objectContaining({ code: closedError().code }));
});
