import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { readRow } from "./pages/frame-number.js";
import { eventually } from "../harness/eventually.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Enters the room of the page's address, or a new one, under a name. */
export async function goIn(page, name, { encrypted = false } = {}) {
  await page.getByTestId("name").fill(name);
  if (encrypted) await page.getByTestId("encrypted").check();
  const lobby = new URL(page.url()).pathname.startsWith("/room/");
  await page.getByTestId(lobby ? "join" : "create").click();
  await page.getByTestId("room").waitFor();
  return page.url();
}

/** Returns the tile of another member. */
export function tileOf(page, name) {
  return page.getByTestId("tile").filter({ hasText: name });
}

/** Reads the number in the picture of a tile. */
async function numberIn(tile) {
  const { row, width } = await tile.locator("canvas").evaluate((canvas) => {
    const { width, height } = canvas;
    const data = canvas.getContext("2d").getImageData(0, Math.floor((height * 330) / 360), width, 1).data;
    return { row: [...data].filter((_, index) => index % 4 === 1), width };
  });
  return readRow((x) => row[x], width);
}

/** Waits until the picture of `name` has shown three different numbers. */
export async function sees(page, name) {
  const numbers = new Set();
  await eventually(`the picture of ${name} moves`, async () => {
    const tile = tileOf(page, name);
    if ((await tile.locator("canvas").count()) === 0) return false;
    const number = await numberIn(tile);
    if (number !== undefined) numbers.add(number);
    return numbers.size >= 3;
  });
}

/**
 * Returns the audit's score, as Lighthouse computes it: the share of passed rules, weighted by their
 * impact. Also returns the broken rules.
 */
export async function audit(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const weights = { minor: 1, moderate: 3, serious: 7, critical: 10 };
    const weigh = (rules) => rules.reduce((sum, { impact }) => sum + (weights[impact] ?? 7), 0);
    const { passes, violations } = await window.axe.run();
    return {
      score: (100 * weigh(passes)) / (weigh(passes) + weigh(violations)),
      rules: passes.length,
      broken: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`),
    };
  });
}
