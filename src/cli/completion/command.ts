import { printable } from "../../report/text.ts";
import { tellWarnings } from "../damage.ts";
import { UsageError } from "../errors.ts";
import { writePieces } from "../output.ts";
import { installShim } from "./install.ts";
import { SHELLS, type Shell } from "./scripts.ts";

/** Prints a shell's script, or installs what kubectl's own completion asks. */
export async function completion(what: Shell | "install", folder: string | undefined): Promise<void> {
  if (what !== "install") {
    if (folder !== undefined) throw new UsageError(`completion ${what}: unexpected argument: ${folder}`);
    return await writePieces(process.stdout, [SHELLS[what]]);
  }
  if (folder === undefined || folder === "")
    throw new UsageError("completion install: name a folder on PATH, such as ~/.local/bin or ~/.krew/bin");
  const { path, text, isNew, warnings } = installShim(folder);
  const lines = text.trimEnd().split(/\r?\n/);
  const head = `${printable(path)} ${isNew ? "was written" : "is there already"}:`;
  await writePieces(process.stdout, [[head, ...lines.map((line) => `  ${line}`), ""].join("\n")]);
  tellWarnings(warnings);
}
