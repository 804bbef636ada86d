import { grouped, plural } from "../net/number.ts";
import type { AskedConnection } from "../synth/probe.ts";
import { objectName } from "./labels.ts";
import { type MutationResult, missedMutations, mutationCounts } from "./mutationResult.ts";
import { endLabel, probePort, rulePlaceText, ruleText } from "./probeResult.ts";
import { section } from "./section.ts";
import { header } from "./simulationTable.ts";
import { PLAIN_STYLE, printable, type Style } from "./text.ts";

/** Returns what a person reads: the score, and what the traffic would not show. */
export function mutationTable(result: MutationResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const lines = [header(result.simulation), "", `${style.bold("MUTATION SCORE")}   ${scoreText(result)}`, ""];
  section(lines, style.bad("GAPS"), GAPS_TITLE, gapRows(result), wide, ["RULE", "PLACE", "CHANGE", "WHAT WOULD SHOW IT"]);
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  return `${lines.join("\n").trimEnd()}\n`;
}

export const GAPS_TITLE = "changes to the policies that alter connectivity, and that this traffic would not show";

/** Returns the score in a sentence. */
export function scoreText(result: MutationResult): string {
  const { noticed, missed, equivalent, score } = mutationCounts(result);
  const rest = equivalent === 0 ? "" : `; ${grouped(equivalent)} more alter nothing (proven) and do not count`;
  if (score === null) return `no small change to these policies alters any connectivity${rest}`;
  return `${score} % (${grouped(noticed)} of ${plural(noticed + missed, "small change")} that alter connectivity ${noticed === 1 ? "is" : "are"} noticed${rest})`;
}

/** Returns the changes that nothing notices, with a connection that would. */
export function gapRows(result: MutationResult): string[][] {
  const { mutations, differences } = result.mutating;
  return missedMutations(result).map((m) => {
    const { policy, rule, what } = mutations[m];
    return [ruleText(policy, rule), rulePlaceText(policy, rule), what, exampleText(differences.get(m)?.example)];
  });
}

/** Names a connection that would show a change. */
export function exampleText(example: AskedConnection | undefined): string {
  if (example === undefined) return "a request, or a label, that could not be made up";
  const { source, destination, sourcePort, requests } = example;
  return `${endLabel(source)} → ${endLabel(destination)} ${probePort(example)}${sourcePort < 0 ? "" : ` from port ${sourcePort}`}${requestText(requests)}`;
}

function requestText([request]: AskedConnection["requests"]): string {
  if (request?.http !== undefined) return `, ${request.http.method} ${request.http.path}`;
  return request?.dns === undefined ? "" : `, query ${request.dns.query}`;
}

/** Returns the policies with a change that nothing notices, as kubectl's `-o name` writes objects. */
export function mutationNames(result: MutationResult): string {
  const { mutations } = result.mutating;
  return [...new Set(missedMutations(result).map((m) => `${printable(objectName(mutations[m].policy.ref))}\n`))].sort().join("");
}
