import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../target/test-artefacts/", import.meta.url));

/** Where to leave a file for people to look at. */
export function artefact(name) {
  mkdirSync(FOLDER, { recursive: true });
  return `${FOLDER}${name}`;
}
