import { defineConfig } from "vite";

export default defineConfig({
  // Nothing is inlined: pages may be served under a policy that allows their own files only.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: { port: 5199 },
});
