// Type names that mean two things.

/** Returns a fault for each type name, visible beyond its file, that has more than one definition. */
export function ambiguousTypes(types) {
  const byName = new Map();
  for (const type of types) byName.set(type.name, [...(byName.get(type.name) ?? []), type]);
  return [...byName]
    .filter(([, definitions]) => definitions.length > 1)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, definitions]) => ({
      files: definitions.map(({ file }) => file),
      message: `type ${name} is defined ${definitions.length} times, 1 is allowed: ${definitions
        .map(({ file, line }) => `${file}:${line}`)
        .join(", ")}`,
    }));
}
