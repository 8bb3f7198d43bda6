/** Delivers results in the order in which their steps started. Steps that need no waiting run synchronously. */
export class Sequencer {
  #last: Promise<void> | undefined;

  /** Starts `step`. After all earlier steps, calls `then` with its result or `failed` with its error. */
  run(
    step: () => Uint8Array | Promise<Uint8Array>,
    then: (payload: Uint8Array) => void,
    failed: (error: unknown) => void,
  ): void {
    let result: Uint8Array | Promise<Uint8Array>;
    try {
      result = step();
    } catch (error) {
      result = Promise.reject(error);
    }
    if (this.#last === undefined && result instanceof Uint8Array) {
      then(result);
      return;
    }
    const settled = Promise.allSettled([result, this.#last]).then(([own]) => {
      if (own.status === "fulfilled") then(own.value);
      else failed(own.reason);
      if (this.#last === settled) this.#last = undefined;
    });
    this.#last = settled;
  }
}
