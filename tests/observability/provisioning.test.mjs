// Shipped rules and dashboards in a real Prometheus.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd } from "../lib/harness/at-end.mjs";
import { temporaryFolder } from "../lib/harness/folder.mjs";
import { startCluster } from "../lib/servers/cluster.mjs";
import { startProgram } from "../lib/servers/program.mjs";
import { eventually } from "../lib/harness/eventually.mjs";
import { freePort } from "../lib/network/ports.mjs";
import { SocketPeer } from "../lib/peers/socket-peer.mjs";
import { tool } from "../lib/harness/tools.mjs";

const SHIPPED = fileURLToPath(new URL("../../deploy/observability/", import.meta.url));
const DOCUMENTED = new URL("../../docs/operations.md", import.meta.url);

/** Returns the names of metrics in an expression, without suffixes of histogram series. */
const named = (expression) =>
  [...expression.matchAll(/\b(?:weir|process|tokio)_[a-z_]+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ""));

/** Returns every query of every dashboard with its panel. */
async function queries() {
  const found = [];
  for (const file of await readdir(`${SHIPPED}grafana`)) {
    const { title, panels, uid } = JSON.parse(await readFile(`${SHIPPED}grafana/${file}`, "utf8"));
    assert.equal(file, `${uid}.json`);
    for (const panel of panels) {
      for (const { expr } of panel.targets ?? []) found.push({ where: `${title}, ${panel.title}`, expr });
    }
  }
  return found;
}

async function rules() {
  const said = execFileSync(tool("promtool"), ["check", "rules", `${SHIPPED}alerts.yml`], { encoding: "utf8" });
  const text = await readFile(`${SHIPPED}alerts.yml`, "utf8");
  const alerts = text.split("- alert: ").slice(1);
  assert.match(said, new RegExp(`${alerts.length} rules found`));
  return alerts.map((alert) => ({
    name: alert.match(/^\w+/)[0],
    expr: alert.slice(alert.indexOf("expr:"), alert.indexOf("labels:")),
    runbook: alert.match(/runbook: (\S+)/)?.[1],
    severity: alert.match(/severity: (\w+)/)?.[1],
  }));
}

test("alert rules are valid, fire in their tests and have runbooks", async () => {
  for (const args of [["test", "rules", "alerts.test.yml"], ["check", "config", "prometheus.yml"]]) {
    const { status, stdout, stderr } = spawnSync(tool("promtool"), args, { cwd: SHIPPED, encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  }
  const alerts = await rules();
  const tested = await readFile(`${SHIPPED}alerts.test.yml`, "utf8");
  const operations = (await readFile(DOCUMENTED, "utf8")).split("\n## Alerts\n")[1].split("\n## ")[0];
  const runbooks = [...operations.matchAll(/^### (\w+)\n(\w+)\./gm)].map(([, name, severity]) => [name, severity.toLowerCase()]);
  assert.deepEqual(runbooks.sort(), alerts.map(({ name, severity }) => [name, severity]).sort());
  for (const { name, runbook } of alerts) {
    assert.equal(runbook, `docs/operations.md#${name.toLowerCase()}`);
    assert.match(tested, new RegExp(`alertname: ${name}\\n\\s+exp_alerts`), `${name} is not seen to fire`);
  }
});

test("dashboards and rules use exactly the documented metrics", async () => {
  const operations = (await readFile(DOCUMENTED, "utf8")).split("## Metrics")[1].split("\n## ")[0];
  const known = new Set([...operations.matchAll(/^\| `[^`]+` \| `([^`]+)` \|/gm)].map(([, name]) => name));
  const used = new Set([...(await queries()), ...(await rules())].flatMap(({ expr }) => named(expr)));
  assert.deepEqual([...used].sort(), [...known].sort());
});

/** Starts a Prometheus that scrapes these nodes every second. Returns a function that queries it. */
async function startPrometheus(t, nodes) {
  const folder = await temporaryFolder(t, "prometheus");
  const port = await freePort();
  const targets = nodes.map(({ opsUrl }) => `"${new URL(opsUrl).host}"`).join(", ");
  const config = (await readFile(`${SHIPPED}prometheus.yml`, "utf8"))
    .replaceAll("15s", "1s")
    .replace("alerts.yml", `${SHIPPED}alerts.yml`)
    .replace('"localhost:8081"', targets);
  await writeFile(`${folder}/prometheus.yml`, config);
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`];
  await startProgram(t, tool("prometheus"), args, { ports: [port] });
  const ask = async (query) => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { status, data, error } = await answer.json();
    assert.equal(status, "success", `${query}: ${error}`);
    return data.result;
  };
  await eventually("Prometheus answers", () => fetch(`http://127.0.0.1:${port}/-/ready`).then(({ ok }) => ok, () => false), 30_000);
  return ask;
}

test("every dashboard query returns data from a loaded cluster", async (t) => {
  // Without a collector, so that failed exports are counted, too.
  const { nodes } = await startCluster(t, 2, { WEIR_TELEMETRY__OTLP_ENDPOINT: "http://127.0.0.1:1", OTEL_METRIC_EXPORT_INTERVAL: "1000" });
  const ask = await startPrometheus(t, nodes);
  const peers = [];
  for (const [index, node] of nodes.entries()) peers.push(await SocketPeer.connect(t, node.url, "websocket", `peer ${index}`));
  const { room } = await peers[0].request("room:create");
  for (const peer of peers) await peer.join(room.id);
  await peers[0].refusal("room:join", { room: room.id });
  const stranger = await SocketPeer.connect(t, nodes[0].url, "websocket", "stranger");
  await stranger.refusal("room:join", { room: "nowhere" });
  const { track } = await peers[0].request("track:publish", { kind: "video", codec: "vp8" });
  const load = setInterval(() => {
    for (let index = 0; index < 10; index++) peers[0].emit("media", { track: track.id, ts: index, key: true }, Buffer.alloc(500));
    stranger.ask("room:join", { room: "nowhere" });
  }, 100);
  atEnd(t, () => clearInterval(load));

  const all = await queries();
  const asked = all.map(({ where, expr }) => ({ where, query: expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "10s") }));
  let silent = asked;
  await eventually(
    "all are answered",
    async () => {
      const answers = await Promise.all(silent.map(async (each) => ({ ...each, result: await ask(each.query) })));
      silent = answers.filter(({ result }) => !result.some(({ value: [, number] }) => Number.isFinite(Number(number))));
      return silent.length === 0;
    },
    30_000,
  ).catch((error) => {
    throw new Error(`${error.message}\n${silent.map(({ where, query }) => `${where}: ${query}`).join("\n")}`);
  });
  t.diagnostic(`${asked.length} queries of ${new Set(all.map(({ where }) => where)).size} panels are answered`);
  await eventually("Prometheus sees about 100 chunks a second", async () => {
    const [{ value: [, chunks] }] = await ask("sum(rate(weir_ingest_chunks_total[10s]))");
    return Number(chunks) > 80 && Number(chunks) < 110;
  });
  assert.equal((await ask('up{job="weir"} == 1')).length, 2);
});
