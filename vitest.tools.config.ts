import { defineConfig } from "vitest/config";

/*
 * `npm run test:tools`: nfdump, softflowd and argus read the captures, and their logs are read back (under a minute). Needs the programs
 * (scripts/install-flow-tools.sh) and the captures beside the repository; KGUARDIAN_FLOW_TOOLS=skip skips it where they are not.
 */
const wanted = process.env.KGUARDIAN_FLOW_TOOLS ?? "run";
if (wanted === "skip") console.warn("KGUARDIAN_FLOW_TOOLS=skip: no flow tool is run");

export default defineConfig({
  test: {
    include: ["test/tools/**/*.tools.test.ts"],
    setupFiles: ["test/setup.ts"],
    env: { KGUARDIAN_FLOW_TOOLS: wanted },
    testTimeout: 60_000,
    pool: "forks",
  },
});
