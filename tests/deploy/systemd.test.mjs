// The systemd unit.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../lib/harness/folder.mjs";
import { BINARY } from "../lib/servers/node.mjs";

test("systemd accepts the unit, rates it as confined, and lets it drain", async (t) => {
  const folder = await temporaryFolder(t, "systemd");
  const text = await readFile(new URL("../../deploy/systemd/weir.service", import.meta.url), "utf8");
  const unit = join(folder, "weir.service");
  await writeFile(unit, text.replace("ExecStart=/usr/local/bin/weir", `ExecStart=${BINARY}`));
  const analyze = (...args) => spawnSync("systemd-analyze", args, { encoding: "utf8" });
  const { status, stdout, stderr } = analyze("verify", unit);
  assert.deepEqual({ status, said: stdout + stderr }, { status: 0, said: "" });
  // Exposure out of 10; 10 is an unconfined process.
  const { stdout: security } = analyze("security", "--offline=true", "--threshold=25", unit);
  const [, exposure] = security.match(/exposure level for weir\.service: ([\d.]+)/);
  t.diagnostic(`exposure ${exposure} of 10`);
  assert.ok(Number(exposure) <= 2.5, security);

  const [, patience] = text.match(/^TimeoutStopSec=(\d+)$/m);
  const { stdout: config } = spawnSync(BINARY, ["config"], { env: {}, encoding: "utf8" });
  const [, deadline] = config.match(/^deadline_ms = (\d+)/m);
  assert.ok(Number(patience) * 1000 >= Number(deadline) + 5_000);
});
