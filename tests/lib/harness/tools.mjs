import { fileURLToPath } from "node:url";

/** Returns the path of a program that `tests/setup.sh` unpacks. */
export const tool = (name) => fileURLToPath(new URL(`../../.tools/usr/bin/${name}`, import.meta.url));
