import { defineConfig } from "vitest/config";

/* `npm run test:live`: what needs a real API server, which scripts/build-live-cluster.sh builds. */
export default defineConfig({
  test: {
    include: ["test/**/*.live.test.ts"],
    setupFiles: ["test/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    // A cluster is three processes that share two cores with the program under test.
    fileParallelism: false,
  },
});
