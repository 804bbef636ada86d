import { grouped, plural } from "../net/number.ts";
import { compare } from "../net/order.ts";
import { cniText } from "./labels.ts";
import type { LinkRow } from "./linkTable.ts";
import { type Exposure, exposuresOf, type MatrixResult } from "./matrixResult.ts";
import { outcomeText } from "./outcomeText.ts";
import { endText } from "./shownEnds.ts";
import { type Column, PLAIN_STYLE, printable, type Style, tableLines } from "./text.ts";

const ROWS = 60;
const EXPOSED = 12;
const NAMED = 3;

/** One line of what is allowed. */
export interface MatrixLine {
  readonly from: string;
  readonly to: string;
  readonly ports: string;
  /** What it hangs on; empty where it is allowed in any case. */
  readonly condition: string;
}

/** Returns what a person reads: who reaches whom, merged, and what is exposed. */
export function matrixTable(result: MatrixResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const whole = matrixLines(result, wide ? Number.POSITIVE_INFINITY : NAMED);
  // That a pod and its own node reach each other is said once.
  const all = wide ? whole : whole.filter(({ from, to, ports }) => !(ports === "every port" && (isOwnNode(from) || isOwnNode(to))));
  const shown = wide ? all : all.slice(0, ROWS);
  const hasConditions = shown.some(({ condition }) => condition !== "");
  const columns: Column[] = [{ title: "FROM" }, { title: "TO" }, { title: "PORTS" }, ...(hasConditions ? [{ title: "WHICH" }] : [])];
  const rows = shown.map(({ from, to, ports, condition }) => [from, to, ports, ...(hasConditions ? [condition] : [])]);
  const lines = [matrixHeader(result), ""];
  if (all.length === 0) lines.push("Nothing is allowed.");
  else lines.push(...tableLines(columns, rows));
  if (shown.length < all.length)
    lines.push(`… and ${plural(all.length - shown.length, "more line")}: -o wide shows all, --focus WORKLOAD one workload's`);
  if (all.length < whole.length) lines.push("A pod and the node that it runs on reach each other on every port (-o wide lists them).");
  const { profile } = result.links.connectivity.evaluators[0];
  if (profile.icmpAlwaysPasses.length > 0)
    lines.push(`ICMP that ${profile.name} lets through whatever policies say is left out (-o json lists it).`);
  lines.push("", ...exposureLines(exposuresOf(result), wide, style));
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  return `${lines.join("\n").trimEnd()}\n`;
}

function isOwnNode(text: string): boolean {
  return text === "every node (the pod's own)";
}

/** Returns one line on what was looked at. */
export function matrixHeader({ links, policies, cni, focus }: MatrixResult): string {
  const about = focus === undefined ? "" : `what concerns ${printable(focus)}, of `;
  return `${about}${plural(links.names.workloads, "workload")} under ${plural(policies.length, "policy", "policies")}: ${grouped(links.size)} allowed pairs · ${cniText(cni)}`;
}

/** Returns merged lines in the order of names. */
export function matrixLines({ links }: MatrixResult, most: number): MatrixLine[] {
  const { verdicts } = links.connectivity;
  const line = ({ from, to, ports, family }: LinkRow): MatrixLine => ({
    from,
    to,
    ports: family === "" ? ports.text : `${ports.text} (${family})`,
    condition: outcomeText(verdicts, ports.outcomes[0]) ?? "",
  });
  return links
    .rows(most)
    .map(line)
    .sort((a, b) => compare(a.to, b.to) || compare(a.from, b.from) || compare(a.ports, b.ports));
}

function exposureLines(exposures: readonly Exposure[], wide: boolean, style: Style): string[] {
  const section = (to: Exposure["to"], title: string) => {
    const own = exposures.filter((exposure) => exposure.to === to);
    if (own.length === 0) return [];
    const texts = own.map(({ end, text }) => printable(`${endText(end)} on ${text}`));
    const shown = wide ? texts : texts.slice(0, EXPOSED);
    const rest = texts.length - shown.length;
    return [`${title}   ${shown.join("; ")}${rest > 0 ? `; and ${grouped(rest)} more (-o wide)` : ""}`, ""];
  };
  return [...section("outside", style.bad("EXPOSED TO OUTSIDE")), ...section("cluster", style.bold("OPEN TO EVERY POD"))];
}
