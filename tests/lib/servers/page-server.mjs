import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { atEnd } from "../harness/at-end.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".map": "application/json" };
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** Folders by path prefix: the tests' pages and their imports. */
const FOLDERS = {
  "/sdk/": here("../../../clients/sdk/dist/"),
  "/socket.io-client/": here("../../node_modules/socket.io-client/dist/"),
  "/": here("../browser/pages/"),
};

/** Serves the tests' pages with the built SDK until the test `t` ends. Resolves with the address. */
export async function servePages(t) {
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const under = Object.keys(FOLDERS).find((prefix) => pathname.startsWith(prefix));
    try {
      const content = await readFile(FOLDERS[under] + pathname.slice(under.length));
      response.setHeader("content-type", TYPES[extname(pathname)] ?? "application/octet-stream");
      response.end(content);
    } catch {
      response.statusCode = pathname === "/favicon.ico" ? 204 : 404;
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(t, () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${server.address().port}`;
}
