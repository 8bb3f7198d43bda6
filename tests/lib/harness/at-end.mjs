const steps = new WeakMap();

/**
 * Runs `step` when the test `t` ends, newest first, or at once if it has ended. Each step runs even if others
 * fail: open handles would keep the run from ending.
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
