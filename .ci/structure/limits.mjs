// Limits on the size of files and folders.

/** Most lines of a file, tests included. */
export const MAX_LINES = 500;

/** Most files directly in one folder. */
export const MAX_FILES = 12;

/** Files that a program writes and nobody reads from top to bottom. */
const GENERATED = [
  /(^|\/)Cargo\.lock$/,
  /(^|\/)package-lock\.json$/,
  /^deploy\/observability\/grafana\/[^/]+\.json$/,
  /^helm\/weir\/files\/grafana\/[^/]+\.json$/,
  /^helm\/weir\/values\.schema\.json$/,
];

function countLines(text) {
  const breaks = text.split("\n").length - 1;
  return text === "" || text.endsWith("\n") ? breaks : breaks + 1;
}

/** Returns a fault for each file of more than `MAX_LINES` lines, except generated ones. */
export function longFiles(tree) {
  return [...tree]
    .filter(([path]) => !GENERATED.some((pattern) => pattern.test(path)))
    .map(([path, text]) => ({ path, lines: countLines(text) }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => ({ files: [path], message: `${path} has ${lines} lines; at most ${MAX_LINES} are allowed` }));
}

/** Returns a fault for each folder that directly holds more than `MAX_FILES` files. The root counts as a folder. */
export function crowdedFolders(paths) {
  const folders = new Map();
  for (const path of paths) {
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
    folders.set(folder, [...(folders.get(folder) ?? []), path]);
  }
  return [...folders]
    .filter(([, files]) => files.length > MAX_FILES)
    .map(([folder, files]) => ({
      files: [folder, ...files],
      message: `${folder === "." ? "the root" : folder} has ${files.length} files; at most ${MAX_FILES} are allowed`,
    }));
}
