// Compresses each text file of the built app with Brotli (`.br`) and gzip (`.gz`); nodes send these files
// unchanged.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const FOLDER = fileURLToPath(new URL("dist/", import.meta.url));

/** Minimum size in bytes: smaller files fit into one packet and stay uncompressed. */
const COMPRESSED_FROM = 1024;

for (const name of readdirSync(FOLDER, { recursive: true })) {
  if (!/\.(css|html|js|svg)$/.test(name)) continue;
  const content = readFileSync(`${FOLDER}${name}`);
  if (content.length < COMPRESSED_FROM) continue;
  writeFileSync(`${FOLDER}${name}.br`, brotliCompressSync(content));
  writeFileSync(`${FOLDER}${name}.gz`, gzipSync(content, { level: 9 }));
}
