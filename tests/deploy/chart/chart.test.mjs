// Rendering, refusals and documentation of the Helm chart.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { CHANGES } from "./changes.mjs";
import { GUARDED, SETS, WRONG } from "./sets.mjs";
import { CHART, helm, object, objects, refusal, render } from "../../lib/deploy/chart.mjs";
import { BINARY } from "../../lib/servers/node.mjs";
import { temporaryFolder } from "../../lib/harness/folder.mjs";

/** Versions of Kubernetes whose schemas the manifests must satisfy. */
const VERSIONS = ["1.30", "1.33", "1.36"];

/** Custom resources, whose schemas Kubernetes does not have. */
const FOREIGN = ["BackendConfig", "HTTPRoute", "PrometheusRule", "ServiceMonitor"];

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Runs `weir config` with the rendered file and variables. */
async function config(t, text) {
  const folder = await temporaryFolder(t, "chart");
  await writeFile(join(folder, "weir.toml"), object(text, "ConfigMap", "weir").data["weir.toml"]);
  const { env } = object(text, "Deployment", "weir").spec.template.spec.containers.find(({ name }) => name === "weir");
  const secret = (name, key) =>
    objects(text).find(({ kind, metadata }) => kind === "Secret" && metadata.name === name)?.stringData[key];
  const known = {};
  for (const { name, value, valueFrom } of env) {
    const { name: from, key } = valueFrom?.secretKeyRef ?? {};
    // Stands for values of Secrets in the cluster: a password or a URL.
    const given = value ?? (from && (secret(from, key) ?? (name.endsWith("_URL") ? "redis://elsewhere" : "pass"))) ?? "x";
    known[name] = given.replace(/\$\((\w+)\)/g, (_, other) => known[other]);
  }
  const { status, stdout, stderr } = spawnSync(BINARY, ["config", "--config", join(folder, "weir.toml")], {
    env: known,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

test("generated files are up to date", () => {
  const { status, stderr } = spawnSync("node", [here("./generate.mjs")], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

test("helm lint finds nothing", () => {
  for (const [name, values] of Object.entries(SETS)) {
    const { status, stdout, stderr } = helm(["lint", "--strict", CHART], values);
    assert.equal(status, 0, `${name}: ${stdout}${stderr}`);
  }
});

test("every manifest is valid for three versions of Kubernetes", async (t) => {
  const folder = await temporaryFolder(t, "chart");
  const files = [];
  let manifests = 0;
  for (const [name, values] of Object.entries(SETS)) {
    const all = objects(render(values, "--kube-version", VERSIONS[0]));
    const own = all.filter(({ kind }) => !FOREIGN.includes(kind));
    manifests += own.length;
    for (const [index, each] of own.entries()) {
      files.push(join(folder, `${name.replaceAll(" ", "-")}-${index}.json`));
      await writeFile(files.at(-1), JSON.stringify(each));
    }
  }
  for (const version of VERSIONS) {
    const validate = here("../../.venv/bin/kubernetes-validate");
    const { status, stdout, stderr } = spawnSync(validate, ["-k", version, "--strict", ...files], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  }
  t.diagnostic(`${manifests} manifests of ${Object.keys(SETS).length} sets are valid for ${VERSIONS.join(", ")}`);
});

test("invalid values are refused with their path", () => {
  for (const [values, path] of WRONG) {
    const said = refusal(values);
    assert.ok(said.includes(path), `${JSON.stringify(values)}: ${said}`);
  }
});

test("contradictory values are refused with an explanation", () => {
  for (const [values, words, ...args] of GUARDED) assert.match(refusal(values, ...args), words);
  const guards = readFileSync(join(CHART, "templates/_helpers.tpl"), "utf8").match(/\bfail \(?/g).length;
  const fired = new Set(GUARDED.map(([, words]) => words.source.replace(/is \d+, and must be at least \d+/, "")));
  assert.ok(fired.size >= guards, `${guards} guards, ${fired.size} tried`);
});

test("a node accepts the rendered configuration", async (t) => {
  for (const [name, values] of Object.entries(SETS)) {
    await config(t, render(values)).catch((error) => assert.fail(`${name}: ${error.message}`));
  }
  const url = async (name) => (await config(t, render(SETS[name]))).match(/\[redis\]\nurl = "([^"]*)"/)[1];
  // `weir config` redacts credentials.
  assert.equal(await url("a server with a password"), "redis://***@redis.data:6380/2");
  const kept = object(render(SETS["a server with a password"]), "Secret").stringData["redis-url"];
  assert.equal(kept, "redis://weir:s3cr%26t%20%2F%2B@redis.data:6380/2");
  assert.equal(await url("a server whose password is in a Secret"), "redis://***@redis.data:6380");
  assert.equal(
    await url("Sentinel over TLS"),
    "rediss-sentinel://s1.data?master=main&node=s2.data:26380&node=s3.data",
  );
  assert.equal(await url("Redis Cluster"), "rediss-cluster://c1.data:7000?node=c2.data:7000");
  const everything = await config(t, render(SETS.everything));
  assert.match(everything, /members_per_room = 50/);
  assert.match(everything, /otlp_endpoint = "http:\/\/collector\.observability:4318"/);
});

test("pods limit connections per address only where client addresses are known", async (t) => {
  const server = async (values) => (await config(t, render(values))).split("\n[socketio]")[0];
  const alone = await server({});
  for (const range of ["127.0.0.0/8", "10.0.0.0/8", "fc00::/7"]) assert.match(alone, new RegExp(`trusted_proxies = .*"${range}"`));
  assert.match(alone, /^max_connections_per_address = 0 /m, "a Service alone says nothing of its clients");
  for (const name of ["ingress-nginx", "GKE", "Gateway API", "a load balancer that speaks the PROXY protocol"]) {
    assert.match(await server(SETS[name]), /^max_connections_per_address = 5000 /m, name);
  }
  assert.match(await server(SETS.GKE), /trusted_proxies = .*"35\.191\.0\.0\/16"/);
  const protocol = await server(SETS["a load balancer that speaks the PROXY protocol"]);
  assert.match(protocol, /^trusted_proxies = \["192\.0\.2\.0\/24"\]/m);
  assert.match(protocol, /^proxy_protocol = "required"/m);
});

test("every documented value has an effect", () => {
  const documented = [...readFileSync(join(CHART, "README.md"), "utf8").matchAll(/^\| `([\w.]+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(Object.keys(CHANGES).sort(), documented.sort());
  const rendered = new Map();
  const once = (values) => {
    const key = JSON.stringify(values);
    if (!rendered.has(key)) rendered.set(key, render(values));
    return rendered.get(key);
  };
  for (const [path, { from = {}, to }] of Object.entries(CHANGES)) {
    const values = structuredClone(from);
    const names = path.split(".");
    const last = names.pop();
    let at = values;
    for (const name of names) at = at[name] ??= {};
    at[last] = to;
    assert.notEqual(once(values), once(from), path);
  }
});

test("values shown in the documentation are accepted", () => {
  const text = readFileSync(here("../../../docs/install.md"), "utf8");
  const shown = [...text.matchAll(/<!-- values: (\w+) -->\n```yaml\n(.*?)```/gs)];
  assert.equal(shown.length, 7);
  const without = render({});
  for (const [, name, values] of shown) {
    const text = render(parse(values));
    assert.notEqual(text, without, name);
    if (["nginx", "traefik", "alb", "gke"].includes(name)) {
      assert.match(text, new RegExp({ gke: "BackendConfig", nginx: "nginx.ingress.kubernetes.io/affinity" }[name] ?? `${name}.ingress.kubernetes.io/`));
    }
  }
});

test("only a changed configuration replaces the pods", () => {
  const pod = (values) => object(render(values), "Deployment", "weir").spec.template;
  assert.notDeepEqual(pod({ config: { limits: { name_chars: 9 } } }), pod({}));
  assert.deepEqual(pod({ service: { port: 81 } }), pod({}));
});

test("every container passes the restricted Pod Security Standard", () => {
  for (const values of Object.values(SETS)) {
    for (const each of objects(render({ ...values, initContainers: [], extraContainers: [] }))) {
      const spec = each.kind === "Pod" ? each.spec : each.spec?.template?.spec;
      if (!spec) continue;
      assert.equal(spec.securityContext.runAsNonRoot, true);
      assert.equal(spec.securityContext.seccompProfile.type, "RuntimeDefault");
      for (const { securityContext } of spec.containers) {
        assert.equal(securityContext.allowPrivilegeEscalation, false);
        assert.equal(securityContext.readOnlyRootFilesystem, true);
        assert.deepEqual(securityContext.capabilities, { drop: ["ALL"] });
      }
    }
  }
});
