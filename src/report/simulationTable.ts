import { shortWorkload } from "../cluster/workloads.ts";
import type { Decision } from "../evaluate/decision.ts";
import type { Simulation } from "../evaluate/simulation.ts";
import { OUTCOME_NAMES, type Outcome } from "../evaluate/simulation.ts";
import { grouped, plural } from "../net/number.ts";
import { formatDuration } from "../net/time.ts";
import type { Policy } from "../policy/model.ts";
import { type Cause, findCauses } from "./causes.ts";
import { cniText, objectName } from "./labels.ts";
import type { SimulationResult, Window } from "./simulationResult.ts";
import { type Column, formatBytes, PLAIN_STYLE, printable, type Style, tableLines } from "./text.ts";

/** Rows of a section that a screen holds; the rest is counted, and `-o wide` or `-o json` show it. */
const ROWS = 20;

/** Returns the table that a person reads: causes, not packets. */
export function simulationTable(result: SimulationResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const lines = [header(result), ""];
  const drops = findCauses(result, "would-drop");
  const open = drops.filter((cause) => cause.accepted === undefined);
  const accepted = drops.filter((cause) => cause.accepted !== undefined);
  section(lines, style.bad("WOULD DROP"), summaryOf(open), open, wide);
  section(lines, "ACCEPTED", summaryOf(accepted), accepted, wide);
  const misdropped = findCauses(result, "misdropped");
  section(lines, "DROPPED, THOUGH ALLOWED", summaryOf(misdropped), misdropped, wide);
  const unknown = findCauses(result, "unknown").filter((cause) => isUnknownVerdict(result, cause));
  section(lines, style.bold("UNKNOWN"), summaryOf(unknown), unknown, wide, false);
  const rejected = wide ? findCauses(result, "rejected") : [];
  section(lines, "DENIED, AND FAILED ANYWAY", summaryOf(rejected), rejected, wide);
  lines.push(...notSeen(result, style), ...incomplete(result, style));
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  if (lines[lines.length - 1] !== "") lines.push("");
  lines.push(footer(result, style));
  return `${lines.join("\n")}\n`;
}

/** Returns one line on what was read and what it was held against. */
export function header({ summary, cni, simulation }: SimulationResult): string {
  const window = summary.window === null ? "without times" : windowText(summary.window);
  const seen = grouped(timesOf(simulation));
  const counted = seen === grouped(summary.connections) ? "" : ` (seen ${seen} times)`;
  const packets = summary.packets > 0 ? ` in ${plural(summary.packets, "packet")}` : "";
  return `${plural(summary.connections, "connection")}${counted}${packets}, ${window}, against ${plural(summary.policies, "policy", "policies")} · ${cniText(cni)}`;
}

export function windowText({ from, to, seconds }: Window): string {
  const end = from.slice(0, 10) === to.slice(0, 10) ? to.slice(11, 19) : `${to.slice(0, 10)} ${to.slice(11, 19)}`;
  return `${from.slice(0, 10)} ${from.slice(11, 19)} – ${end} UTC (${formatDuration(seconds)})`;
}

/** Returns how often connections were made. */
function timesOf({ connections }: Simulation): number {
  let times = 0;
  for (let i = 0; i < connections.size; i++) times += connections.count(i);
  return times;
}

function summaryOf(causes: readonly Cause[]): string {
  const connections = causes.reduce((sum, cause) => sum + cause.connections, 0);
  return `${plural(connections, "connection")}, ${plural(causes.length, "cause")}`;
}

/** An unknown verdict is about rules; an allowed connection that nobody answered is not. */
function isUnknownVerdict(result: SimulationResult, cause: Cause): boolean {
  return result.simulation.verdicts[cause.example] === 2;
}

function section(lines: string[], title: string, text: string, causes: readonly Cause[], wide: boolean, denied = true): void {
  if (causes.length === 0) return;
  lines.push(`${title}   ${text}`);
  const shown = wide ? causes : causes.slice(0, ROWS);
  const columns: Column[] = [{ title: "SEEN", alignRight: true }, { title: "FROM" }, { title: "TO" }, { title: "PORT" }];
  if (denied) columns.push({ title: "DENIED BY" });
  if (wide) columns.push({ title: "CONNECTIONS", alignRight: true }, { title: "BYTES", alignRight: true });
  columns.push({ title: "WHY" });
  const rows = shown.map((cause) => [
    grouped(cause.seen),
    cause.from,
    cause.to,
    cause.port,
    ...(denied ? [cause.deniedBy] : []),
    ...(wide ? [grouped(cause.connections), formatBytes(cause.bytes)] : []),
    cause.accepted === undefined ? cause.why : `${cause.accepted} (${cause.why})`,
  ]);
  lines.push(...tableLines(columns, rows, "  "));
  if (shown.length < causes.length) lines.push(`  … and ${plural(causes.length - shown.length, "more cause")}: -o wide shows all`);
  lines.push("");
}

function notSeen({ summary, selectedWorkloads }: SimulationResult, style: Style): string[] {
  const { unobserved, window } = summary;
  if (unobserved.length === 0) return [];
  const names = unobserved.map((endpoint) => printable(`${endpoint.namespace}/${shortWorkload(endpoint.workload ?? "")}`));
  const shown = names.slice(0, 6).join(", ") + (names.length > 6 ? ` and ${names.length - 6} more` : "");
  const during = window === null ? "" : ` in these ${formatDuration(window.seconds)}`;
  const they = unobserved.length === 1 ? "Its policies are" : "Their policies are";
  return [
    `${style.bold("NOT SEEN")}   ${unobserved.length} of ${plural(selectedWorkloads.length, "selected workload")} had no traffic${during}: ${shown}. ${they} untested.`,
  ];
}

/** What happened and is in no input: it is neither allowed nor denied above. */
function incomplete({ summary: { confidence } }: SimulationResult, style: Style): string[] {
  return confidence.because.map((text) => `${style.bold("INCOMPLETE")}   ${printable(text)}`);
}

function footer({ simulation, summary }: SimulationResult, style: Style): string {
  const counts = new Map<Outcome, number>(OUTCOME_NAMES.map((name) => [name, 0]));
  let undecided = 0;
  for (let i = 0; i < simulation.outcomes.length; i++) {
    const outcome = OUTCOME_NAMES[simulation.outcomes[i]];
    if (outcome === "unknown" && simulation.verdicts[i] === 2) undecided++;
    else counts.set(outcome, counts.get(outcome)! + 1);
  }
  const parts = [style.good(`permitted ${grouped(counts.get("permitted")!)}`)];
  const drop = `would drop ${grouped(summary.wouldDrop)}`;
  parts.push(summary.wouldDrop > 0 ? style.bad(drop) : drop);
  if (summary.accepted > 0) parts.push(`accepted ${grouped(summary.accepted)}`);
  if (counts.get("misdropped")! > 0) parts.push(`allowed but dropped ${grouped(counts.get("misdropped")!)}`);
  if (counts.get("rejected")! > 0) parts.push(`denied and failed anyway ${grouped(counts.get("rejected")!)}`);
  if (counts.get("unknown")! > 0) parts.push(`allowed, answer not seen ${grouped(counts.get("unknown")!)}`);
  if (undecided > 0) parts.push(`unknown ${grouped(undecided)}`);
  return parts.join(" · ");
}

/** Returns every policy that denies something observed, as kubectl's `-o name` writes objects. */
export function simulationNames(result: SimulationResult): string {
  const names = new Set<string>();
  const { simulation } = result;
  for (const i of result.order) {
    if (simulation.verdicts[i] !== 1) continue;
    const { egress, ingress } = simulation.judgement(i);
    const denying = [egress, ingress].filter((decision) => decision.verdict === "deny");
    // Where every backend is denied, some at the source and some themselves, neither side denies all.
    for (const decision of denying.length > 0 ? denying : [egress, ingress]) {
      for (const { ref } of denyingPolicies(decision)) names.add(printable(objectName(ref)));
    }
  }
  return [...names]
    .sort()
    .map((name) => `${name}\n`)
    .join("");
}

/** Policies that a denial comes from: by a rule, by what a rule wants of requests, or by isolation. */
function denyingPolicies({ reason, matched, isolatedBy }: Decision): readonly Policy[] {
  if (reason === "rule-deny") return matched.slice(0, 1).map(({ policy }) => policy);
  return reason === "l7-deny" ? matched.map(({ policy }) => policy) : isolatedBy;
}
