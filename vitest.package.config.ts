import { defineConfig } from "vitest/config";

/*
 * `npm run test:package`: builds the packages of all platforms twice and looks into them (about four minutes). The first time it fetches
 * Node for five platforms, 260 MB, into ~/.cache/kguardian-package. Needs the kubectl of scripts/build-live-cluster.sh.
 */
export default defineConfig({
  test: {
    include: ["test/package/**/*.package.test.ts"],
    globalSetup: ["test/package/setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    // Each holds an executable of 150 MB or two.
    fileParallelism: false,
  },
});
