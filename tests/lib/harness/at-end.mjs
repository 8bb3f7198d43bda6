const steps = new WeakMap();

/**
 * Has `step` run when the test `t` ends, the newest first; at once, if it has ended already. Each runs,
 * whatever became of the others: what stays open would keep the whole run from ending.
 */
export function atEnd(t, step) {
  let known = steps.get(t);
  if (!known) {
    known = { remaining: [], ended: false };
    steps.set(t, known);
    t.after(() => end(known));
  }
  if (known.ended) Promise.resolve(step()).catch((error) => console.error(error));
  else known.remaining.push(step);
}

async function end(known) {
  known.ended = true;
  const errors = [];
  while (known.remaining.length > 0) {
    try {
      await known.remaining.pop()();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, errors.map(({ message }) => message).join("; "));
}
