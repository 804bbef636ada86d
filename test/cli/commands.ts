import { COMMANDS } from "../../bin/main.ts";
import { type DescribedCommand, filledIn } from "../../src/cli/manifest.ts";
import { describeCommands } from "../../src/cli/run.ts";

/** What help and completion know of the commands, from the sources. */
export const MANIFEST = await describeCommands(COMMANDS);

/** An example of a command's help, as a user would type it. */
export interface Example {
  readonly id: string;
  readonly command: string;
  /** It asks a cluster or a broker. */
  readonly isLive: boolean;
}

/** Files that examples read in place of a cluster. */
const OFFLINE = /fixtures\/|--show-profile|kguardian (?:version|completion)/;

export const EXAMPLES: readonly Example[] = Object.values(MANIFEST).flatMap(({ id, examples = [] }: DescribedCommand) =>
  examples.map(({ command }) => ({
    id,
    command: filledIn(command, id),
    isLive: !OFFLINE.test(command.replace("<%= config.bin %>", "kguardian").replace("<%= command.id %>", id)),
  })),
);
