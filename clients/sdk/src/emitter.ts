/** Typed events: `Events` maps each name to the arguments of its listeners. */
// biome-ignore lint/suspicious/noExplicitAny: the constraint must take any tuple of arguments
export class Emitter<Events extends { [E in keyof Events]: any[] }> {
  // biome-ignore lint/suspicious/noExplicitAny: the arguments depend on the key
  readonly #listeners = new Map<keyof Events, Set<(...args: any[]) => void>>();

  /** Calls `listener` at each `event`; the result ends that. */
  on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void {
    let listeners = this.#listeners.get(event);
    if (!listeners) {
      listeners = new Set();
      this.#listeners.set(event, listeners);
    }
    listeners.add(listener);
    return () => this.off(event, listener);
  }

  /** Calls `listener` at the next `event` alone. */
  once<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void {
    const off = this.on(event, (...args) => {
      off();
      listener(...args);
    });
    return off;
  }

  off<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): void {
    this.#listeners.get(event)?.delete(listener);
  }

  /**
   * Tells every listener. One that throws harms no other one, and nothing of the SDK: its error is
   * reported as an uncaught one.
   *
   * @internal
   */
  emit<E extends keyof Events>(event: E, ...args: Events[E]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(...args);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
