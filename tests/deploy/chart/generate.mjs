#!/usr/bin/env node
// Generates parts of the chart: values.schema.json and the table of values from the comments in
// values.yaml, and copies of files in deploy/. Without --write it only reports outdated files.
//
//     node tests/deploy/chart/generate.mjs [--write]
import { readFile, readdir, writeFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { isMap, isPair, isScalar, parse, parseDocument } from "yaml";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const CHART = `${ROOT}helm/weir/`;
const MARKS = ["<!-- values: begin, by tests/deploy/chart/generate.mjs -->", "<!-- values: end -->"];

/** Parses the comment before a value: a description, and JSON Schema. */
function comment(text = "") {
  const own = text.split("\n\n").at(-1);
  const lines = own.split("\n").map((line) => line.trim());
  const start = lines.findIndex((line) => line.startsWith("-- "));
  if (start === -1) return {};
  const words = lines.slice(start).filter((line) => !line.startsWith("@"));
  const said = lines.filter((line) => line.startsWith("@")).map((line) => parse(line.slice(1)));
  return { description: words.join(" ").replace(/^-- /, ""), said: Object.assign({}, ...said) };
}

const TYPES = { string: "string", number: "integer", boolean: "boolean" };
const typeOf = (value) => TYPES[typeof value] ?? (Array.isArray(value) ? "array" : "object");

/** Returns the schema of the example configuration by section, with the types of the defaults. */
async function configSchema() {
  const sections = {};
  let section;
  for (const line of (await readFile(`${ROOT}deploy/weir.example.toml`, "utf8")).split("\n")) {
    const [, name] = line.match(/^\[(\w+)\]$/) ?? [];
    const [, key, value] = line.match(/^(\w+) = (.+)$/) ?? [];
    if (name) {
      section = { type: "object", additionalProperties: false, properties: {} };
      sections[name] = section;
    } else if (key) section.properties[key] = { type: typeOf(JSON.parse(value)) };
  }
  return sections;
}

/** Returns the schema of a map, and a row for each documented value in it. */
function walk(map, sections, path = [], commentBefore) {
  const properties = {};
  const rows = [];
  for (const [index, pair] of map.items.entries()) {
    if (!isPair(pair)) throw new Error(`${path}: no pair`);
    const name = pair.key.value;
    const here = [...path, name];
    // The comment of a map's first key belongs to the map.
    const text = pair.key.commentBefore ?? (index === 0 ? (map.commentBefore ?? commentBefore) : undefined);
    const { description, said } = comment(text);
    const value = pair.value.toJSON();
    if (description === undefined) {
      if (!isMap(pair.value) || pair.value.items.length === 0) throw new Error(`${here.join(".")} is not documented`);
      const below = walk(pair.value, sections, here, pair.value.commentBefore);
      properties[name] = below.schema;
      rows.push(...below.rows);
      continue;
    }
    const { config, ...more } = said;
    const schema = { description, type: typeOf(value), ...more };
    if (config) Object.assign(schema, { properties: sections, additionalProperties: false });
    properties[name] = schema;
    rows.push({ name: here.join("."), value: isScalar(pair.value) ? value : JSON.stringify(value), description });
  }
  return { schema: { type: "object", additionalProperties: false, properties }, rows };
}

/** Returns all generated files by path. */
async function made() {
  const files = new Map();
  const values = parseDocument(await readFile(`${CHART}values.yaml`, "utf8"));
  const { schema, rows } = walk(values.contents, await configSchema());
  // Helm's own key, which a parent chart may set.
  schema.properties.global = { description: "Values of a chart above this one; unused.", type: "object" };
  const head = { $schema: "http://json-schema.org/draft-07/schema#", title: "Values of the chart weir" };
  files.set("values.schema.json", `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`);
  const shown = (text) => String(text).replaceAll("|", "\\|");
  const table = rows.map(
    ({ name, value, description }) => `| \`${name}\` | \`${shown(value === "" ? '""' : value)}\` | ${shown(description)} |`,
  );
  const readme = await readFile(`${CHART}README.md`, "utf8");
  const [before, rest] = readme.split(MARKS[0]);
  const [, after] = rest.split(MARKS[1]);
  const block = [MARKS[0], "| value | default | meaning |", "|---|---|---|", ...table, MARKS[1]].join("\n");
  files.set("README.md", `${before}${block}${after}`);
  const copies = [
    ["deploy/redis.conf", "files/redis.conf"],
    ["deploy/observability/alerts.yml", "files/alerts.yml"],
  ];
  for (const dashboard of await readdir(`${ROOT}deploy/observability/grafana`)) {
    copies.push([`deploy/observability/grafana/${dashboard}`, `files/grafana/${dashboard}`]);
  }
  for (const [from, to] of copies) files.set(to, await readFile(ROOT + from, "utf8"));
  return files;
}

const write = process.argv.includes("--write");
for (const [path, text] of await made()) {
  const is = await readFile(CHART + path, "utf8").catch(() => undefined);
  if (is === text) continue;
  if (write) {
    await mkdir(dirname(CHART + path), { recursive: true });
    await writeFile(CHART + path, text);
    console.log(`wrote helm/weir/${path}`);
  } else {
    console.error(`helm/weir/${path} is not what tests/deploy/chart/generate.mjs makes; run: make chart`);
    process.exitCode = 1;
  }
}
