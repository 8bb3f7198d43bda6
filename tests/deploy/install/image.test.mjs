// Size and privileges of the image.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd } from "../../lib/harness/at-end.mjs";
import { temporaryFolder } from "../../lib/harness/folder.mjs";
import { docker } from "../../lib/deploy/docker.mjs";
import { eventually } from "../../lib/harness/eventually.mjs";

const IMAGE = "weir:local";
const MEGABYTES = 40;
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Returns all paths in the image. */
function content() {
  const container = docker("create", IMAGE);
  try {
    const { stdout } = spawnSync("sh", ["-c", `docker export ${container} | tar --list`], { encoding: "utf8" });
    return stdout.trim().split("\n");
  } finally {
    docker("rm", container);
  }
}

test("the image is small and has no shell", (t) => {
  const [{ Size, Config, RootFS }] = JSON.parse(docker("inspect", IMAGE));
  const files = content();
  const packages = files.filter((path) => /^var\/lib\/dpkg\/status\.d\/./.test(path));
  t.diagnostic(`${(Size / 1e6).toFixed(1)} MB in ${RootFS.Layers.length} layer, ${packages.length} packages: ${packages.map((path) => path.split("/").at(-1)).join(", ")}`);
  assert.ok(Size < MEGABYTES * 1e6);
  assert.deepEqual(files.filter((path) => /(^|\/)(sh|bash|dash|busybox|apt|dpkg|perl)$/.test(path)), []);
  assert.equal(Config.User, "65532:65532");
  for (const label of ["title", "version", "revision", "created", "licenses"]) {
    assert.ok(Config.Labels[`org.opencontainers.image.${label}`], label);
    assert.notEqual(Config.Labels[`org.opencontainers.image.${label}`], "unknown", label);
  }
});

test("the image runs read-only and unprivileged as any user, drains and serves the app", async (t) => {
  const user = 10_000 + Math.floor(Math.random() * 50_000);
  const container = docker(
    ...["run", "--detach", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"],
    ...["--user", `${user}:${user}`, "--env", "WEIR_DRAIN__PAUSE_MS=500", IMAGE],
  );
  atEnd(t, () => docker("rm", "--force", container));
  const inspect = () => JSON.parse(docker("inspect", container))[0];
  await eventually(`it is healthy as user ${user}`, () => inspect().State.Health.Status === "healthy", 30_000);
  const { IPAddress } = inspect().NetworkSettings.Networks.bridge;
  const page = await fetch(`http://${IPAddress}:8080/`);
  assert.match(await page.text(), /<title>Weir/);
  assert.equal(docker("exec", container, "/usr/local/bin/weir", "probe").split("\n").length, 1);
  docker("stop", "--time", "35", container);
  const { ExitCode, OOMKilled } = inspect().State;
  assert.deepEqual({ ExitCode, OOMKilled }, { ExitCode: 0, OOMKilled: false });
});

test("a changed source file does not recompile dependencies", async (t) => {
  const folder = await temporaryFolder(t, "image");
  execFileSync("sh", ["-c", `git ls-files -z Cargo.* crates clients deploy .dockerignore | xargs -0 cp --parents --target-directory "${folder}"`], { cwd: ROOT });
  await appendFile(join(folder, "crates/weir/src/main.rs"), "// changed\n");
  await appendFile(join(folder, "crates/weir-core/src/lib.rs"), "// changed\n");
  const args = ["build", "--progress", "plain", "--file", "deploy/Dockerfile", "--target", "dependencies", "."];
  const { status, stderr } = spawnSync("docker", args, { cwd: folder, encoding: "utf8", env: { ...process.env, DOCKER_BUILDKIT: "1" } });
  assert.equal(status, 0, stderr);
  const [, step] = stderr.match(/#(\d+) \[dependencies [^\]]*\] RUN for crate in/) ?? [];
  assert.match(stderr, new RegExp(`#${step} CACHED`));
});
