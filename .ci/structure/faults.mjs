// All checks of the tree's shape.
import { importCycles } from "./cycles.mjs";
import { crowdedFolders, longFiles } from "./limits.mjs";
import { ambiguousTypes } from "./names.mjs";
import { readCrates } from "./rust/crates.mjs";
import { readModules } from "./script/modules.mjs";

/** Returns the faults of `tree`, which maps paths to texts. Each has its check, its files and a message. */
export function faultsOf(tree) {
  const rust = readCrates(tree);
  const script = readModules(tree);
  const faults = {
    lines: longFiles(tree),
    folders: crowdedFolders(tree.keys()),
    cycles: importCycles([...rust.imports, ...script.imports]),
    types: [...ambiguousTypes(rust.types), ...ambiguousTypes(script.types)],
  };
  return Object.entries(faults).flatMap(([check, found]) => found.map((fault) => ({ check, ...fault })));
}
