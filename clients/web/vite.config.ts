import { defineConfig } from "vite";

export default defineConfig({
  // Inlines nothing: a node's Content-Security-Policy allows only files from its own origin.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: { port: 5199 },
});
