// Import cycles between files.

/** Returns the files that each file imports, with the line of the first import. */
function graphOf(imports) {
  const graph = new Map();
  for (const { from, to, line } of imports) {
    if (!graph.has(from)) graph.set(from, new Map());
    if (!graph.has(to)) graph.set(to, new Map());
    if (from !== to && !graph.get(from).has(to)) graph.get(from).set(to, line);
  }
  return graph;
}

/** Returns the shortest way from `start` back to itself, without its end, or undefined. */
function shortestCycle(graph, start) {
  const previous = new Map();
  const queue = [start];
  for (const file of queue) {
    for (const next of graph.get(file).keys()) {
      if (next === start) {
        const cycle = [];
        for (let at = file; at !== undefined; at = previous.get(at)) cycle.unshift(at);
        return cycle;
      }
      if (!previous.has(next)) {
        previous.set(next, file);
        queue.push(next);
      }
    }
  }
  return undefined;
}

/**
 * Returns a fault for each import cycle. Each file on a cycle is reported with its shortest cycle; equal cycles are
 * reported once.
 */
export function importCycles(imports) {
  const graph = graphOf(imports);
  const cycles = new Map();
  for (const file of [...graph.keys()].sort()) {
    const cycle = shortestCycle(graph, file);
    if (cycle === undefined) continue;
    const first = cycle.indexOf([...cycle].sort()[0]);
    const turned = [...cycle.slice(first), ...cycle.slice(0, first)];
    cycles.set(turned.join("\0"), turned);
  }
  return [...cycles.values()].map((cycle) => {
    const steps = cycle.map((file, at) => `${file}:${graph.get(file).get(cycle[(at + 1) % cycle.length])}`);
    return { files: cycle, message: `${cycle.length} files import each other, none may: ${steps.join(" -> ")} -> ${cycle[0]}` };
  });
}
