// docker-compose.yml on a real engine, with faults.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { connect } from "../../../clients/sdk/dist/index.js";
import { goIn, sees } from "../../lib/browser/app.mjs";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { openPage } from "../../lib/browser/browser.mjs";
import { composition, docker } from "../../lib/deploy/docker.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";
import { startKnownBrowser } from "../../lib/browser/participant.mjs";
import { PythonPeer } from "../../lib/peers/python-peer.mjs";
import { SocketPeer } from "../../lib/peers/socket-peer.mjs";

/** Maximum time for a client to detect a fault and reconnect. */
const BACK_MS = 30_000;

/** Heartbeat deadline: ping interval and timeout. */
const HEARTBEAT_MS = 45_000;

const weir = await composition();
let upAfter;

before(async () => {
  const from = Date.now();
  await weir.up();
  upAfter = Date.now() - from;
});
after(() => weir.down());

/** Member with the SDK that publishes a data track or listens. */
class Member {
  heardAt = Date.now();
  silence = 0;
  heard = 0;

  static async join(t, room, name, publishes) {
    const member = new Member();
    member.name = name;
    member.room = await connect(weir.url);
    atEnd(t, () => member.room.close());
    member.room.on("track:published", (track) => track.on("chunk", () => member.#hear()));
    await member.room.join(room, { name });
    if (publishes) member.#publish(await member.room.publishChunks({ kind: "data", codec: "x" }), t);
    return member;
  }

  #hear() {
    const now = Date.now();
    this.silence = Math.max(this.silence, now - this.heardAt);
    this.heardAt = now;
    this.heard += 1;
  }

  #publish(track, t) {
    const timer = setInterval(() => {
      try {
        track.write(new Uint8Array(500), { key: true });
      } catch (error) {
        // Chunks sent without a connection are lost.
        assert.equal(error.code, "disconnected");
      }
    }, 50);
    atEnd(t, () => clearInterval(timer));
  }

  /** Resets the measured silence. */
  listen() {
    this.heardAt = Date.now();
    this.silence = 0;
    this.heard = 0;
  }

  /** Returns the names of all members that it sees, itself included. */
  get roster() {
    return [...this.room.members.values()].map(({ name }) => name).sort();
  }
}

/** Makes rooms of three members, one of whom publishes. */
async function rooms(t, count) {
  await eventually("the balancer takes clients", async () => (await fetch(weir.url)).ok);
  const all = [];
  for (let index = 0; index < count; index++) {
    const maker = await connect(weir.url);
    const { id } = await maker.create();
    await maker.close();
    const names = ["ann", "bob", "cid"];
    const members = [];
    for (const name of names) members.push(await Member.join(t, id, name, name === "ann"));
    all.push({ id, members, names });
  }
  return all;
}

/** Waits until every member sees exactly the members of its room and receives chunks. */
async function whole(what, all, patience = BACK_MS) {
  for (const { members } of all) for (const member of members) member.heard = 0;
  await eventually(
    what,
    () =>
      all.every(({ members, names }) =>
        members.every(
          (member) =>
            member.room.state === "joined" &&
            member.roster.join() === names.join() &&
            (member.name === "ann" || member.heard > 5),
        ),
      ),
    patience,
  ).catch((error) => {
    const states = all.map(({ members }) => members.map(({ name, room, roster, heard }) => `${name} ${room.state} ${roster} ${heard}`));
    throw new Error(`${error.message}: ${JSON.stringify(states)}`);
  });
}

const silence = (all) => Math.max(...all.flatMap(({ members }) => members.filter(({ name }) => name !== "ann").map((each) => each.silence)));

test("browsers on different gateways see each other through the balancer", async (t) => {
  t.diagnostic(`all was healthy after ${(upAfter / 1000).toFixed(1)} s`);
  const from = Date.now();
  const [one, other] = await Promise.all([startKnownBrowser(t), startKnownBrowser(t)]);
  const ann = await openPage(t, one, weir.url);
  const link = await goIn(ann, "Ann");
  const bob = await openPage(t, other, link);
  await goIn(bob, "Bob");
  await Promise.all([sees(ann, "Bob"), sees(bob, "Ann")]);
  t.diagnostic(`both saw each other ${((Date.now() - from) / 1000).toFixed(1)} s after the browsers were started`);
  const counts = [...(await weir.sessions()).values()].sort();
  assert.deepEqual(counts, [0, 1, 1]);
});

test("stock clients work through the balancer over every transport", async (t) => {
  const ways = ["polling", "websocket", "upgrade", "polling"];
  const peers = await Promise.all(ways.map((way, index) => SocketPeer.connect(t, weir.url, way, `${way} ${index}`)));
  peers.push(await PythonPeer.connect(t, weir.url, ["polling"]));
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  for (const [index, peer] of peers.entries()) {
    const { track } = await peer.request("track:publish", { kind: "data", codec: "x" });
    for (let ts = 0; ts < 20; ts++) peer.emit("media", { track: track.id, ts, key: true }, Buffer.from([index, ts]));
    for (const other of peers) {
      if (other === peer) continue;
      await other
        .until(`${other.label} has all of ${peer.label}`, () => other.chunks(track.id).length === 20)
        .catch(async ({ message }) => {
          const seqs = other.chunks(track.id).map(({ header }) => header.seq);
          const gaps = JSON.stringify(other.all("media:gap"));
          const connected = `${other.label} is ${other.socket?.connected}, ${peer.label} is ${peer.socket?.connected}`;
          throw new Error(`${message}: it has ${seqs}, gaps ${gaps}, connected: ${connected}\n${await weir.logs("balancer")}`);
        });
      assert.deepEqual(other.chunks(track.id).map(({ header }) => header.seq), Array.from({ length: 20 }, (_, at) => at + 1));
    }
  }
});

test("clients of a killed gateway continue on the others", async (t) => {
  const all = await rooms(t, 4);
  const [victim] = await weir.containers("gateway");
  docker("kill", victim.id);
  await whole("everybody is back", all);
  t.diagnostic(`the longest silence: ${silence(all)} ms`);
  await weir.up();
  await eventually("it is a gateway again", async () => (await weir.sessions()).size === 3);
  assert.ok(silence(all) < 2_000);
});

test("clients of a frozen gateway continue on the others", async (t) => {
  const all = await rooms(t, 4);
  const [, victim] = await weir.containers("gateway");
  docker("pause", victim.id);
  await whole("everybody is back", all);
  t.diagnostic(`the longest silence: ${silence(all)} ms`);
  docker("unpause", victim.id);
  await whole("nobody minds its return", all);
});

test("clients of a disconnected gateway continue on the others", async (t) => {
  const all = await rooms(t, 4);
  const [, , victim] = await weir.containers("gateway");
  docker("network", "disconnect", "weir-test_default", victim.id);
  await whole("everybody is back", all);
  t.diagnostic(`the longest silence: ${silence(all)} ms`);
  docker("network", "connect", "--alias", "gateway", "weir-test_default", victim.id);
  await eventually("it is a gateway again", async () => {
    const back = (await weir.containers("gateway")).find(({ id }) => id === victim.id);
    return fetch(`http://${back.address}:8081/readyz`).then(({ ok }) => ok, () => false);
  });
  // The address changes, so the gateway sees the end of old connections only by their heartbeat.
  await whole("nobody minds its return", all, HEARTBEAT_MS + BACK_MS);
});

for (const [what, breaks, mends] of [
  ["killed", ["kill"], ["start"]],
  ["frozen", ["pause"], ["unpause"]],
  ["cut off", ["network", "disconnect", "weir-test_default"], ["network", "connect", "--alias", "redis", "weir-test_default"]],
]) {
  test(`rooms are complete again after Redis is ${what} and back`, async (t) => {
    const all = await rooms(t, 4);
    const [redis] = await weir.containers("redis");
    const maker = await connect(weir.url);
    atEnd(t, () => maker.close());
    docker(...breaks, redis.id);
    await eventually("nobody can make a room", () => maker.create().then(() => false, ({ code }) => code === "unavailable"));
    docker(...mends, redis.id);
    const from = Date.now();
    await whole("all rooms are whole", all);
    t.diagnostic(`whole ${Date.now() - from} ms after it was back`);
    for (const { members } of all) {
      for (const { room } of members) assert.equal(room.state, "joined");
    }
  });
}

test("scaling to 5 gateways and back to 2 under load loses no member", async (t) => {
  const all = await rooms(t, 10);
  for (const { members } of all) for (const member of members) member.listen();
  await weir.up("--scale", "gateway=5");
  await eventually("the balancer has found the new ones", async () => {
    const logs = await weir.logs("balancer");
    return new Set(logs.match(/gateways\/gateway\d+ .*?UP\/READY/g)).size >= 5;
  });
  const more = await rooms(t, 5);
  const used = await weir.sessions();
  assert.equal(used.size, 5);
  assert.ok(Math.min(...used.values()) > 0, `all five have clients: ${[...used.values()]}`);
  await weir.up("--scale", "gateway=2");
  await whole("everybody is in its room", [...all, ...more]);
  assert.equal((await weir.sessions()).size, 2);
  t.diagnostic(`${15 * 3} members; the longest silence: ${silence([...all, ...more])} ms`);
  assert.ok(silence([...all, ...more]) < 1_000);
  await weir.up("--scale", "gateway=3");
});

test("Prometheus discovers every gateway and loads the rules", async () => {
  await weir.up("prometheus");
  const [{ address }] = await weir.containers("prometheus");
  const ask = async (path) => (await (await fetch(`http://${address}:9090/api/v1/${path}`)).json()).data;
  await eventually("all three are scraped", async () => {
    const { result } = await ask("query?query=weir_ready");
    return result.length === 3 && result.every(({ value }) => value[1] === "1");
  }, 60_000);
  const { groups } = await ask("rules");
  assert.ok(groups[0].rules.length > 10);
});
