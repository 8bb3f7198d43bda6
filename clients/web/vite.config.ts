import { defineConfig } from "vite";

export default defineConfig({
  // Nothing is inlined: the Content-Security-Policy of a node allows files of its own only.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: { port: 5199 },
});
