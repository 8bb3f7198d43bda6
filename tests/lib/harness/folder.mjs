import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "./at-end.mjs";

/** Makes a temporary folder and returns its path. Removes it at the end of the test `t`. */
export async function temporaryFolder(t, name) {
  const folder = await mkdtemp(join(tmpdir(), `weir-${name}-`));
  atEnd(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}
