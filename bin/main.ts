import { type CommandManifest, runCommandLine } from "../src/cli/run.ts";
import { VERSION } from "../src/cli/version.ts";

/** Put in by the build (scripts/build.mjs), so that no command is loaded only for its help text. */
declare const EMBEDDED_MANIFEST: CommandManifest | undefined;

/** Every command with the import that loads it: a static map, since a scan of directories is felt at every call. */
export const COMMANDS = {
  "gen:networkpolicy": () => import("../commands/gen/networkpolicy.ts"),
  simulate: () => import("../commands/simulate.ts"),
  version: () => import("../commands/version.ts"),
};

if (import.meta.main) {
  const manifest = typeof EMBEDDED_MANIFEST === "undefined" ? undefined : EMBEDDED_MANIFEST;
  process.exitCode = await runCommandLine(process.argv.slice(2), VERSION, COMMANDS, manifest);
}
