import { cpus } from "node:os";

/** Returns the total and idle processor time of all cores since boot, in milliseconds. */
function times() {
  let [all, idle] = [0, 0];
  for (const { times } of cpus()) {
    all += Object.values(times).reduce((sum, each) => sum + each, 0);
    idle += times.idle;
  }
  return { all, idle };
}

/** Starts measuring idle time. The result returns the idle share of processor time since then, 0 to 1. */
export function watchIdle() {
  const before = times();
  return () => {
    const now = times();
    return (now.idle - before.idle) / (now.all - before.all);
  };
}
