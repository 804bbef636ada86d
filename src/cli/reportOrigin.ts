import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ReportOrigin } from "../report/findings.ts";
import { VERSION } from "./version.ts";

/**
 * Returns who writes a report for CI, and where. GitHub and GitLab take paths from the top of the repository, wherever in it a
 * program runs: that is the nearest folder above with `.git` in it, and the working directory where there is none.
 */
export function reportOrigin(workingDirectory = process.cwd()): ReportOrigin {
  return { version: VERSION, workingDirectory, sourceRoot: repositoryOf(workingDirectory) ?? workingDirectory };
}

function repositoryOf(folder: string): string | undefined {
  // A file in worktrees and submodules.
  if (existsSync(join(folder, ".git"))) return folder;
  const above = dirname(folder);
  return above === folder ? undefined : repositoryOf(above);
}
