/** Emitter of typed events. `Events` maps each event to the arguments of its listeners. */
// biome-ignore lint/suspicious/noExplicitAny: the constraint accepts any tuple of arguments
export class Emitter<Events extends { [E in keyof Events]: any[] }> {
  // biome-ignore lint/suspicious/noExplicitAny: the arguments depend on the key
  readonly #listeners = new Map<keyof Events, Set<(...args: any[]) => void>>();

  /** Calls `listener` on every `event`. Returns a function that removes the listener. */
  on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void {
    let listeners = this.#listeners.get(event);
    if (!listeners) {
      listeners = new Set();
      this.#listeners.set(event, listeners);
    }
    listeners.add(listener);
    return () => this.off(event, listener);
  }

  /** Calls `listener` on the next `event` only. Returns a function that removes the listener. */
  once<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): () => void {
    const off = this.on(event, (...args) => {
      off();
      listener(...args);
    });
    return off;
  }

  /** Removes a listener that {@link on} added. */
  off<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): void {
    this.#listeners.get(event)?.delete(listener);
  }

  /**
   * Calls every listener. A listener that throws affects neither other listeners nor the SDK; its error is
   * reported as uncaught.
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
