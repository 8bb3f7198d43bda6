// Contents of the rendered objects, by template.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SETS } from "./sets.mjs";
import { object, objects, render } from "../../lib/deploy/chart.mjs";

const server = { redis: { mode: "standalone", hosts: ["redis.data"] } };
const container = (text) => object(text, "Deployment", "weir").spec.template.spec.containers[0];
const ports = ({ ports = [] }) => ports.map(({ port }) => port);

test("Services and policies select the gateway pods, and monitors select their Service", () => {
  const text = render({ ...SETS["to try things out"], metrics: { serviceMonitor: { enabled: true } } });
  const pod = object(text, "Deployment", "weir").spec.template.metadata.labels;
  const redis = object(text, "Deployment", "redis").spec.template.metadata.labels;
  const selects = (selector, labels) => Object.entries(selector).every(([key, value]) => labels[key] === value);
  for (const selector of [
    object(text, "Service", "weir").spec.selector,
    object(text, "Service", "operations").spec.selector,
    object(text, "PodDisruptionBudget").spec.selector.matchLabels,
    object(text, "NetworkPolicy", "weir").spec.podSelector.matchLabels,
    object(text, "Deployment", "weir").spec.selector.matchLabels,
  ]) {
    assert.ok(selects(selector, pod));
    assert.ok(!selects(selector, redis));
  }
  const monitored = object(text, "ServiceMonitor").spec.selector.matchLabels;
  assert.ok(selects(monitored, object(text, "Service", "operations").metadata.labels));
  assert.ok(!selects(monitored, object(text, "Service", "weir").metadata.labels));
  const names = container(text).ports.map(({ name }) => name);
  for (const service of ["weir", "operations"]) {
    for (const { targetPort } of object(text, "Service", service).spec.ports) assert.ok(names.includes(targetPort));
  }
});

test("the network policy permits exactly the required traffic", () => {
  const egress = (values) => object(render({ ...values, networkPolicy: { enabled: true, ...values.networkPolicy } }), "NetworkPolicy", "weir").spec.egress;
  assert.deepEqual(egress({}).map(ports), [[53, 53]]);
  assert.deepEqual(egress(server).map(ports), [[53, 53], [6379]]);
  assert.deepEqual(ports(egress(SETS["Sentinel over TLS"])[1]), [26379, 6379, 26380]);
  assert.deepEqual(ports(egress(SETS["Redis Cluster"])[1]), [6379, 7000]);
  const telemetry = (endpoint, protocol) => ports(egress({ telemetry: { endpoint, protocol } })[1]);
  assert.deepEqual(telemetry("http://c.observability:9999", "grpc"), [9999]);
  assert.deepEqual(telemetry("http://c", "grpc"), [4317]);
  assert.deepEqual(telemetry("http://c", "http"), [4318]);
  const tryout = render(SETS["to try things out"]);
  const [{ from }] = object(tryout, "NetworkPolicy", "redis").spec.ingress;
  assert.equal(from[0].podSelector.matchLabels["app.kubernetes.io/component"], "gateway");
  const [clients, operations] = object(tryout, "NetworkPolicy", "weir").spec.ingress;
  assert.equal(clients.from, undefined);
  assert.deepEqual(operations.from, [{ podSelector: {} }]);
});

test("ingress presets have affinity and long timeouts, and own annotations take precedence", () => {
  const ingress = (name) => object(render(SETS[name]), "Ingress");
  const nginx = ingress("ingress-nginx").metadata.annotations;
  assert.equal(nginx["nginx.ingress.kubernetes.io/affinity"], "cookie");
  assert.equal(nginx["nginx.ingress.kubernetes.io/proxy-buffering"], "off");
  assert.equal(nginx["nginx.ingress.kubernetes.io/proxy-read-timeout"], "120");
  // A ping every 25 s with a timeout of 20 s.
  assert.ok(Number(nginx["nginx.ingress.kubernetes.io/proxy-send-timeout"]) > 45);
  const traefik = object(render(SETS.Traefik), "Service", "weir").metadata.annotations;
  assert.equal(traefik["traefik.ingress.kubernetes.io/service.sticky.cookie"], "true");
  const alb = ingress("ALB").metadata.annotations;
  assert.match(alb["alb.ingress.kubernetes.io/target-group-attributes"], /stickiness\.enabled=true/);
  assert.match(alb["alb.ingress.kubernetes.io/load-balancer-attributes"], /idle_timeout\.timeout_seconds=75/);
  assert.equal(alb["alb.ingress.kubernetes.io/scheme"], "internet-facing");
  const gke = render(SETS.GKE);
  assert.equal(object(gke, "BackendConfig").spec.sessionAffinity.affinityType, "GENERATED_COOKIE");
  const named = JSON.parse(object(gke, "Service", "weir").metadata.annotations["cloud.google.com/backend-config"]);
  assert.equal(named.default, object(gke, "BackendConfig").metadata.name);
  const { rules, tls } = ingress("ingress-nginx").spec;
  assert.deepEqual(rules.map(({ host }) => host), ["live.example.org", "*.live.example.org"]);
  assert.equal(tls[0].secretName, "live-tls");
  assert.equal(ingress("Traefik").spec.rules[0].host, undefined);
  assert.equal(object(render(SETS["Gateway API"]), "HTTPRoute").spec.rules[0].timeouts.request, "0s");
});

test("autoscaling uses the configured metrics and scales down slowly", () => {
  const text = render(SETS.everything);
  assert.equal(object(text, "Deployment", "weir").spec.replicas, undefined);
  const { metrics, behavior, minReplicas } = object(text, "HorizontalPodAutoscaler").spec;
  const targets = metrics.map(({ resource, pods }) => [
    resource?.name ?? pods.metric.name,
    resource?.target.averageUtilization ?? pods.target.averageValue,
  ]);
  assert.deepEqual(targets, [["cpu", 60], ["weir_connections", "4000"], ["weir_egress_payload_bytes_per_second", "50000000"]]);
  assert.deepEqual(behavior.scaleDown.policies, [{ type: "Pods", value: 1, periodSeconds: 120 }]);
  assert.equal(minReplicas, 3);
});

test("the termination grace period covers the drain", () => {
  const text = render(SETS.everything);
  const { terminationGracePeriodSeconds } = object(text, "Deployment", "weir").spec.template.spec;
  assert.equal(terminationGracePeriodSeconds, 80);
  assert.deepEqual(container(text).lifecycle.preStop, { sleep: { seconds: 5 } });
  assert.equal(container(render({})).lifecycle, undefined);
});

test("secrets stay in Secrets", () => {
  const text = render(SETS["a server with a password"]);
  const elsewhere = objects(text).filter(({ kind }) => kind !== "Secret");
  assert.ok(!JSON.stringify(elsewhere).includes("s3cr"));
  const variable = (name, set) => container(render(SETS[set])).env.find((each) => each.name === name);
  assert.deepEqual(variable("REDIS_PASSWORD", "a server whose password is in a Secret").valueFrom.secretKeyRef, {
    name: "redis-auth",
    key: "redis-password",
  });
  assert.deepEqual(variable("WEIR_REDIS__URL", "a URL that is in a Secret").valueFrom.secretKeyRef, {
    name: "redis-auth",
    key: "url",
  });
  assert.deepEqual(variable("WEIR_REDIS__SENTINEL_PASSWORD", "Sentinel over TLS").valueFrom.secretKeyRef, {
    name: "live-weir",
    key: "redis-sentinel-password",
  });
  assert.equal(variable("WEIR_REDIS__SENTINEL_USERNAME", "Sentinel over TLS").value, "watcher");
  assert.equal(variable("SSL_CERT_FILE", "Sentinel over TLS").value, "/etc/weir-redis-ca/ca.crt");
  const names = objects(render({ ...SETS["a server whose password is in a Secret"] })).map(({ kind }) => kind);
  assert.ok(!names.includes("Secret"));
});

test("variables are defined before their use", () => {
  for (const values of Object.values(SETS)) {
    const seen = new Set();
    for (const { name, value = "" } of container(render(values)).env) {
      for (const [, other] of value.matchAll(/\$\((\w+)\)/g)) assert.ok(seen.has(other), `${name} names ${other}`);
      seen.add(name);
    }
  }
});

test("helm test probes the configured number of pods", () => {
  const nodes = (values) => object(render(values), "Pod", "probe").spec.containers[0].args.slice(0, 3);
  assert.deepEqual(nodes({}), ["probe", "--nodes", "1"]);
  assert.deepEqual(nodes({ ...server, replicaCount: 3 }), ["probe", "--nodes", "2"]);
  assert.deepEqual(nodes({ ...server, autoscaling: { enabled: true } }), ["probe", "--nodes", "2"]);
});

test("names, labels and extra objects are as configured", () => {
  const text = render(SETS.everything);
  for (const { kind, metadata } of objects(text)) {
    if (metadata.name === "live-more") continue;
    assert.equal(metadata.labels.team, "calls", kind);
    assert.match(metadata.name, /^live-weir/);
  }
  assert.ok(objects(text).some(({ metadata }) => metadata.name === "live-more"));
  assert.equal(container(text).image, `registry.example.org/weir@sha256:${"a".repeat(64)}`);
  assert.match(container(render({})).image, /^weir:\d+\.\d+\.\d+$/);
  const selector = object(text, "Deployment", "weir").spec.selector.matchLabels;
  assert.equal(selector.team, undefined);
});
