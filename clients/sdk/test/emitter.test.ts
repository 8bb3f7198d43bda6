import { afterEach, expect, test, vi } from "vitest";
import { Emitter } from "../src/emitter";

afterEach(() => vi.unstubAllGlobals());

test("listener is called until it is removed, a once listener once", () => {
  const emitter = new Emitter<{ tick: [number] }>();
  const seen: string[] = [];
  const off = emitter.on("tick", (count) => seen.push(`on ${count}`));
  emitter.once("tick", (count) => seen.push(`once ${count}`));
  emitter.emit("tick", 1);
  emitter.emit("tick", 2);
  off();
  emitter.emit("tick", 3);
  expect(seen).toEqual(["on 1", "once 1", "on 2"]);
});

test("throwing listener affects no other one, and its error is reported", () => {
  const reported = vi.fn();
  vi.stubGlobal("reportError", reported);
  const emitter = new Emitter<{ tick: [] }>();
  const other = vi.fn();
  emitter.on("tick", () => {
    throw new Error("broken");
  });
  emitter.on("tick", other);
  emitter.emit("tick");
  expect(other).toHaveBeenCalledOnce();
  expect(reported).toHaveBeenCalledOnce();
});
