// Writes docs/commands.md from what help is made of. `npm run docs`; test/cli/commandReference.test.ts fails where it was forgotten.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../bin/main.ts";
import { commandReference } from "../src/cli/commandReference.ts";
import { describeCommands } from "../src/cli/run.ts";

const path = fileURLToPath(new URL("../docs/commands.md", import.meta.url));
writeFileSync(path, commandReference(await describeCommands(COMMANDS)));
console.log(path);
