// Type names that mean two things.

/** Names that mean the same thing on both sides of a contract, and why each may be defined twice. */
export const SHARED_NAMES = {};

/** Returns a fault for each type name, visible beyond its file, that has more than one definition. */
export function ambiguousTypes(types) {
  const byName = new Map();
  for (const type of types) byName.set(type.name, [...(byName.get(type.name) ?? []), type]);
  return [...byName]
    .filter(([name, definitions]) => definitions.length > 1 && !Object.hasOwn(SHARED_NAMES, name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, definitions]) => ({
      files: definitions.map(({ file }) => file),
      message: `type ${name} is defined ${definitions.length} times, 1 is allowed: ${definitions
        .map(({ file, line }) => `${file}:${line}`)
        .join(", ")}`,
    }));
}
