import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../target/test-artefacts/", import.meta.url));

/** Returns the path for a file that people may inspect after the run. */
export function artefact(name) {
  mkdirSync(FOLDER, { recursive: true });
  return `${FOLDER}${name}`;
}
