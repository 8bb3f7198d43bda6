import { expect, test } from "vitest";
import { tileWidth } from "../src/people/grid";

test("tiles are as large as the area allows", () => {
  expect(tileWidth(1, { width: 1600, height: 900 })).toBe(1600);
  expect(tileWidth(4, { width: 1612, height: 912 })).toBe(800);
  expect(tileWidth(2, { width: 390, height: 700 })).toBe(390);
});
