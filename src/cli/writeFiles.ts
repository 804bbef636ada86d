import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { systemReason } from "../capture/byteSource.ts";
import { UsageError } from "./errors.ts";

export interface PlannedFile {
  /** Its path below the directory. */
  readonly file: string;
  readonly text: string;
}

/** How files of this program are told from those of others, which are not overwritten. */
export interface Ownership {
  readonly isOurs: (text: string, path: string) => boolean;
  /** What is missing in a file of others, in parentheses of the message. */
  readonly mark: string;
}

/**
 * Writes all files into a directory or none: each beside its place first, then moved there. Throws a UsageError, also where a file
 * of the same name is there that is not ours.
 */
export function writeAllFiles(directory: string, files: readonly PlannedFile[], { isOurs, mark }: Ownership): void {
  const parts: string[] = [];
  try {
    makeDirectory(directory);
    for (const { file } of files) {
      const path = join(directory, file);
      if (!existsSync(path) || isOurs(readFileSync(path, "utf8"), path)) continue;
      throw new UsageError(`${path} is not of this program (${mark}) and is not overwritten: give another --output-dir`);
    }
    for (const [i, { file, text }] of files.entries()) {
      const place = dirname(join(directory, file));
      makeDirectory(place);
      parts.push(join(place, `.kguardian-${process.pid}-${i}.part`));
      writeFileSync(parts[i], text);
    }
    for (const [i, { file }] of files.entries()) renameSync(parts[i], join(directory, file));
  } catch (error) {
    for (const part of parts) rmSync(part, { force: true });
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--output-dir: ${directory}: ${systemReason(error)}`);
  }
}

/** Makes a directory and those above it. Node's own way never returns where the system says that there can be none, as in /proc. */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = dirname(path);
  if (above !== path) makeDirectory(above);
  mkdirSync(path);
}
