// Redis with TLS only, a user with a password, and a database of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { temporaryFolder } from "../lib/harness/folder.mjs";
import { startMember } from "../lib/servers/cluster.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { startNode } from "../lib/servers/node.mjs";
import { startRedis } from "../lib/servers/redis.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";

const openssl = promisify(execFile).bind(undefined, "openssl");

/** Makes a certificate for localhost and its certificate authority. */
async function certificate(t) {
  const folder = await temporaryFolder(t, "tls");
  const file = (name) => join(folder, name);
  const key = (name) => ["-newkey", "rsa:2048", "-nodes", "-keyout", file(`${name}.key`)];
  await openssl(["req", "-x509", ...key("ca"), "-out", file("ca.crt"), "-days", "2", "-subj", "/CN=ca"]);
  await openssl(["req", ...key("server"), "-out", file("server.csr"), "-subj", "/CN=localhost"]);
  await writeFile(file("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const signed = ["-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-CAcreateserial", "-extfile", file("names")];
  await openssl(["x509", "-req", "-in", file("server.csr"), ...signed, "-out", file("server.crt"), "-days", "2"]);
  return { ca: file("ca.crt"), cert: file("server.crt"), key: file("server.key") };
}

test("nodes join over TLS as a user, and a node that distrusts the certificate is not ready", async (t) => {
  const { ca, cert, key } = await certificate(t);
  const redis = await startRedis(t, {
    "tls-ca-cert-file": ca,
    "tls-cert-file": cert,
    "tls-key-file": key,
    "tls-auth-clients": "no",
  });
  await redis.cli("acl", "setuser", "weir", "on", ">s3cret", "~*", "&*", "+@all");
  await redis.cli("acl", "setuser", "default", "nopass", "-@all", "+ping");
  const url = `rediss://weir:s3cret@localhost:${redis.port}/3`;
  const trust = { SSL_CERT_FILE: ca };
  const nodes = [await startMember(t, url, trust), await startMember(t, url, trust)];
  const [ann, bob] = await Promise.all(nodes.map((node) => SocketPeer.connect(t, node.url)));
  const { room } = await ann.request("room:create");
  await ann.join(room.id);
  await bob.join(room.id);
  const { track } = await ann.request("track:publish", { kind: "data", codec: "text/plain" });
  await bob.event("track:published");
  ann.emit("media", { track: track.id, ts: 0 }, Buffer.from("over TLS"));
  await bob.until("gets the chunk", () => bob.chunks(track.id).length === 1);

  const stranger = await startNode(t, { WEIR_REDIS__URL: url });
  await eventually("it says why", () => /certificate/i.test(stranger.logs));
  assert.equal((await fetch(`${stranger.opsUrl}/readyz`)).status, 503);
  assert.equal((await fetch(`${stranger.opsUrl}/livez`)).status, 200);
  assert.ok(!stranger.logs.includes("s3cret"), "the password is logged");
});
