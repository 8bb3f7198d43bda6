import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fills in a name and goes in: into a new room, or the one that the page's address names. */
export async function goIn(page, name, { encrypted = false } = {}) {
  await page.getByTestId("name").fill(name);
  if (encrypted) await page.getByTestId("encrypted").check();
  const lobby = new URL(page.url()).pathname.startsWith("/room/");
  await page.getByTestId(lobby ? "join" : "create").click();
  await page.getByTestId("room").waitFor();
  return page.url();
}

/** The tile of somebody else. */
export function tileOf(page, name) {
  return page.getByTestId("tile").filter({ hasText: name });
}

/**
 * The audit's score as Lighthouse computes one: the share of the rules that are kept, weighed by how
 * much it matters; and which are broken.
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
