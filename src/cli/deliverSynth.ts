import { plural } from "../net/number.ts";
import { printable } from "../report/text.ts";
import { tellWarnings } from "./damage.ts";
import { forTerminal, terminalStyle, writePieces } from "./output.ts";
import type { SynthResult } from "./synthTraffic.ts";

/** Says on standard error what of the profile came to nothing. */
export function tellNotes({ warnings, leftOut }: SynthResult["made"]): void {
  tellWarnings([...warnings, ...[...leftOut].map(([reason, count]) => `${plural(count, "call")} not made: ${reason}`)]);
}

/**
 * Prints what was made. `output`: table, json or yaml; undefined where standard output has something else, and one line on standard
 * error says what was made.
 */
export async function deliverSynth({ made }: SynthResult, output: string | undefined): Promise<void> {
  const { syntheticHeader, syntheticObject, syntheticTable } = await import("../report/syntheticTraffic.ts");
  if (output === "table") return await writePieces(process.stdout, forTerminal([syntheticTable(made, terminalStyle())]));
  tellNotes(made);
  if (output === undefined) process.stderr.write(`${printable(syntheticHeader(made))}\n`);
  else if (output === "json")
    await writePieces(process.stdout, [`${(await import("../report/text.ts")).safeJson(syntheticObject(made), 2)}\n`]);
  else await writePieces(process.stdout, [(await import("../report/safeYaml.ts")).safeYaml(syntheticObject(made))]);
}
