import { defineConfig } from "vitest/config";

/* `npm run test:fuzz`: about a minute, or FUZZ_SECONDS of it. A failure prints the seed that shows it again (FUZZ_SEED). */
export default defineConfig({
  test: {
    include: ["test/fuzz/**/*.fuzz.test.ts"],
    globalSetup: ["scripts/kernel.mjs"],
    testTimeout: 24 * 3600 * 1000,
    pool: "forks",
    // One at a time: each has its share of the time, and none is measured while another takes the processor.
    fileParallelism: false,
  },
});
