import { lstatSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { systemReason } from "../../capture/byteSource.ts";
import { UsageError } from "../errors.ts";

/** kubectl asks an executable of this name on PATH to complete `kubectl kguardian` (Kubernetes: KEP-2379, Shell Completion Support). */
const SHIM_NAME = "kubectl_complete-kguardian";

/** By this, files of ours are known. */
const MARK = "kubectl kguardian completion install";

/** What kubectl runs: the program beside it, as krew and a checkout have them, else the one on PATH. */
export const SHIM = `#!/bin/sh
# Lets kubectl complete \`kubectl kguardian\`; written by \`${MARK}\`.
own=\${0%/*}/kubectl-kguardian; [ -x "$own" ] || own=kubectl-kguardian; exec "$own" __complete "$@"
`;
const WINDOWS_SHIM = `@rem Lets kubectl complete \`kubectl kguardian\`; written by \`${MARK}\`.\r\n@kubectl-kguardian __complete %*\r\n`;

/** What was written, or was there already, and what a user should know of it. */
export interface Installed {
  readonly path: string;
  readonly text: string;
  readonly isNew: boolean;
  readonly warnings: readonly string[];
}

/**
 * Writes the shim into a folder, in place of an earlier one of ours. Throws a UsageError for a folder that is none, and for a file of
 * that name that is not ours.
 */
export function installShim(folder: string, platform: string = process.platform): Installed {
  const isWindows = platform === "win32";
  const text = isWindows ? WINDOWS_SHIM : SHIM;
  const path = join(folder, isWindows ? `${SHIM_NAME}.cmd` : SHIM_NAME);
  checkFolder(folder);
  const known = ownText(path);
  if (known !== text) replaceFile(path, text);
  const warnings = isOnPath(folder)
    ? []
    : [`${folder} is not on PATH: kubectl does not find the file there until it is (export PATH="${resolve(folder)}:$PATH")`];
  return { path, text, isNew: known !== text, warnings };
}

function checkFolder(folder: string): void {
  try {
    if (statSync(folder).isDirectory()) return;
  } catch (error) {
    throw new UsageError(`completion install: ${folder}: ${systemReason(error)}`);
  }
  throw new UsageError(`completion install: ${folder}: no folder`);
}

/** Returns the text of our file, undefined where there is none. */
function ownText(path: string): string | undefined {
  let isFile: boolean;
  try {
    isFile = lstatSync(path).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new UsageError(`completion install: ${path}: ${systemReason(error)}`);
  }
  const text = isFile ? readText(path) : "";
  if (!text.includes(MARK))
    throw new UsageError(`completion install: ${path} is there and was not written by this program: take it away, or name another folder`);
  return text;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`completion install: ${path}: ${systemReason(error)}`);
  }
}

/** A file that is half there would break every completion: it is written beside and put in place at once. */
function replaceFile(path: string, text: string): void {
  const beside = `${path}.${process.pid}`;
  try {
    writeFileSync(beside, text, { mode: 0o755, flag: "wx" });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new UsageError(`completion install: ${path}: ${systemReason(error)}`);
  }
}

function isOnPath(folder: string): boolean {
  const own = realpathSync(folder);
  return (process.env.PATH ?? "").split(delimiter).some((each) => {
    try {
      return each !== "" && realpathSync(each) === own;
    } catch {
      return false;
    }
  });
}
