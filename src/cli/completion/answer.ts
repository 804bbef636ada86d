import type { CommandLoader, CommandManifest } from "../manifest.ts";
import { cobraText, complete, DIRECTIVES } from "./complete.ts";
import { namesFor } from "./names.ts";

/**
 * Answers one completion in cobra's protocol on standard output: candidates, a line each, and `:DIRECTIVE`. `words` are those after the
 * program's name, the last being typed. Never fails and never says anything else: what is printed ends on a user's command line.
 */
export async function answer(
  words: readonly string[],
  embedded: CommandManifest | undefined,
  loaders: Readonly<Record<string, CommandLoader>>,
): Promise<never> {
  let text: string;
  try {
    const manifest = embedded ?? (await (await import("../run.ts")).describeCommands(loaders));
    text = cobraText(await complete(words, manifest, namesFor(manifest)));
  } catch {
    text = cobraText({ candidates: [], directive: DIRECTIVES.error });
  }
  await new Promise<void>((resolve) => {
    // Who has stopped reading wants no more.
    process.stdout.on("error", () => resolve());
    process.stdout.write(text, () => resolve());
  });
  // A server that is slow to answer must not keep the shell.
  process.exit(0);
}
