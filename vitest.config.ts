import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/fuzz/**", ...["live", "tools", "slow", "package"].map((kind) => `test/**/*.${kind}.test.ts`)],
    setupFiles: ["test/setup.ts"],
    globalSetup: ["scripts/kernel.mjs"],
    testTimeout: 60_000,
    pool: "forks",
  },
});
