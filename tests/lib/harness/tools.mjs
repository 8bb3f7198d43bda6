import { fileURLToPath } from "node:url";

/** Where `tests/setup.sh` unpacks programs that are not installed. */
export const tool = (name) => fileURLToPath(new URL(`../../.tools/usr/bin/${name}`, import.meta.url));
