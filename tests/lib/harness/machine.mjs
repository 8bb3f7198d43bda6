import { cpus } from "node:os";

/** Processor time of all cores since the start, in milliseconds: in all, and idle. */
function times() {
  let [all, idle] = [0, 0];
  for (const { times } of cpus()) {
    all += Object.values(times).reduce((sum, each) => sum + each, 0);
    idle += times.idle;
  }
  return { all, idle };
}

/** Begins to watch the processors; the result says which share of their time has been idle since, 0 to 1. */
export function watchIdle() {
  const before = times();
  return () => {
    const now = times();
    return (now.idle - before.idle) / (now.all - before.all);
  };
}
