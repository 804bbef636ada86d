import type { CommandManifest } from "../src/cli/manifest.ts";
import { VERSION } from "../src/cli/version.ts";

/** A CommandManifest as JSON, put in by the build (scripts/bundle.mjs), so that no command is loaded only for its help text. */
declare const EMBEDDED_MANIFEST: string | undefined;

/** Every command with the import that loads it: a static map, since a scan of directories is felt at every call. */
export const COMMANDS = {
  "audit:promote": () => import("../commands/audit/promote.ts"),
  "audit:verdicts": () => import("../commands/audit/verdicts.ts"),
  coverage: () => import("../commands/coverage.ts"),
  completion: () => import("../commands/completion.ts"),
  diff: () => import("../commands/diff.ts"),
  explain: () => import("../commands/explain.ts"),
  "gen:networkpolicy": () => import("../commands/gen/networkpolicy.ts"),
  "gen:seccomp": () => import("../commands/gen/seccomp.ts"),
  matrix: () => import("../commands/matrix.ts"),
  simulate: () => import("../commands/simulate.ts"),
  snapshot: () => import("../commands/snapshot.ts"),
  synth: () => import("../commands/synth.ts"),
  test: () => import("../commands/test.ts"),
  version: () => import("../commands/version.ts"),
};

/** Runs the command line of this process and sets its exit code. */
export async function main(): Promise<void> {
  const args = process.argv.slice(2);
  const embedded = typeof EMBEDDED_MANIFEST === "undefined" ? undefined : (JSON.parse(EMBEDDED_MANIFEST) as CommandManifest);
  // A shell asks at every key: it must not wait for what only commands need.
  const exitCode =
    args[0] === "__complete"
      ? await (await import("../src/cli/completion/answer.ts")).answer(args.slice(1), embedded, COMMANDS)
      : await (await import("../src/cli/run.ts")).runCommandLine(args, VERSION, COMMANDS, embedded);
  // After an error nothing is waited for: a server that is slow to answer must not keep the program.
  if (exitCode > 1) process.exit(exitCode);
  process.exitCode = exitCode;
}

if (import.meta.main) await main();
