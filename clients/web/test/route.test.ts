import { expect, test } from "vitest";
import { typedRoute } from "../src/route";

test("typed id or link yields the route with its key", () => {
  expect(typedRoute(" 7d2k-9mqx ")).toEqual({ room: "7d2k-9mqx", key: undefined });
  expect(typedRoute("https://example.org/room/abc")).toEqual({ room: "abc", key: undefined });
  expect(typedRoute("https://example.org/room/abc/?node=x#key=k1")).toEqual({ room: "abc", key: "k1" });
  expect(typedRoute("https://example.org/")).toBeUndefined();
  expect(typedRoute("what is this")).toBeUndefined();
});
