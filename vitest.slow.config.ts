import { defineConfig } from "vitest/config";

/* `npm run test:slow`: random worlds against obvious evaluators, and grids of commands and dialects. FC_RUNS multiplies the worlds. */
export default defineConfig({
  test: {
    include: ["test/**/*.slow.test.ts"],
    setupFiles: ["test/setup.ts"],
    testTimeout: 600_000,
    pool: "forks",
  },
});
