const steps = new WeakMap();

/**
 * Has `step` run when the test `t` ends, the newest first. Each runs, whatever became of the others:
 * what stays open would keep the whole run from ending.
 */
export function atEnd(t, step) {
  if (!steps.has(t)) {
    steps.set(t, []);
    t.after(() => end(steps.get(t)));
  }
  steps.get(t).push(step);
}

async function end(remaining) {
  const errors = [];
  while (remaining.length > 0) {
    try {
      await remaining.pop()();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, errors.map(({ message }) => message).join("; "));
}
