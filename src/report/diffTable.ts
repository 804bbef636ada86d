import { grouped, plural } from "../net/number.ts";
import { compare } from "../net/order.ts";
import { formatDuration } from "../net/time.ts";
import { policyTitle } from "../policy/model.ts";
import { Explainer } from "./causes.ts";
import { countsOf, type DiffResult, signOf } from "./diffResult.ts";
import { cniText, endpointLabel } from "./labels.ts";
import type { LinkRow } from "./linkTable.ts";
import { outcomeText } from "./outcomeText.ts";
import type { PolicyChange } from "./policyChanges.ts";
import { portLabel } from "./simulationResult.ts";
import { windowText } from "./simulationTable.ts";
import { type Column, PLAIN_STYLE, printable, type Style, tableLines } from "./text.ts";
import { styledDiff } from "./textDiff.ts";
import { isDropped, type TrafficChange, verdictsOf } from "./trafficChange.ts";

/** Lines of a section, and of one object's difference, that a screen holds; `-o wide` shows all. */
const ROWS = 25;
const DIFF_LINES = 40;
/** Ends that a line names. */
const NAMED = 3;

const SIGNS = { added: "+", removed: "-", changed: "~", unchanged: " " } as const;

/** One line on connectivity that changes. */
export interface ConnectivityLine {
  readonly sign: "+" | "-" | "~";
  readonly from: string;
  readonly to: string;
  readonly ports: string;
  /** What the change hangs on, or how requests differ; empty for a plain one. */
  readonly note: string;
  readonly row: LinkRow;
}

/** Connections of the same workloads and port whose verdict changes alike. */
export interface TrafficLine {
  readonly before: string;
  readonly after: string;
  readonly seen: number;
  readonly connections: number;
  readonly from: string;
  readonly to: string;
  readonly port: string;
  readonly why: string;
  /** Seconds from the last of them to the end of what was observed; undefined without times. */
  readonly beforeEnd: number | undefined;
}

/** Returns what a person reads: objects, connectivity, traffic. */
export function diffTable(result: DiffResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const lines = [diffHeader(result), ""];
  for (const change of result.policies) if (change.change !== "unchanged") lines.push(...objectLines(change, wide, style));
  const { added, removed } = result.workloads;
  if (added.length + removed.length > 0) lines.push(...workloadLines("+", added, wide), ...workloadLines("-", removed, wide), "");
  lines.push(...connectivitySection(result, wide, style));
  if (result.traffic !== undefined) lines.push("", ...trafficSection(result.traffic, wide, style));
  if (result.warnings.length > 0) lines.push("");
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  return `${lines.join("\n")}\n`;
}

/** Returns one line on what was compared. */
export function diffHeader({ policies, before, after, cni }: DiffResult): string {
  const counts = (["added", "removed", "changed", "unchanged"] as const)
    .map((change) => ({ change, count: policies.filter((policy) => policy.change === change).length }))
    .filter(({ count }) => count > 0);
  const objects = counts.length === 0 ? "no policy in either" : counts.map(({ change, count }) => `${grouped(count)} ${change}`).join(", ");
  return `${printable(before)} → ${printable(after)}: ${objects} · ${cniText(cni)}`;
}

function objectLines({ ref, change, diff }: PolicyChange, wide: boolean, style: Style): string[] {
  const sign = SIGNS[change];
  const colour = sign === "+" ? style.good : sign === "-" ? style.bad : style.bold;
  const place = ref.file === undefined ? "" : `   (${ref.file}:${ref.line})`;
  const shown = wide ? diff : diff.slice(0, DIFF_LINES);
  const rest = diff.length - shown.length;
  return [
    `${colour(`${sign} ${printable(policyTitle(ref))}`)}${style.dim(printable(place))}`,
    ...styledDiff(shown, style).map((line) => `    ${line}`),
    ...(rest > 0 ? [`    … and ${plural(rest, "more line")}: -o wide shows all`] : []),
    "",
  ];
}

function workloadLines(sign: string, workloads: readonly string[], wide: boolean): string[] {
  const shown = wide ? workloads : workloads.slice(0, ROWS);
  const lines = shown.map((workload) => `${sign} workload ${printable(workload)}`);
  return shown.length < workloads.length ? [...lines, `  … and ${workloads.length - shown.length} more: -o wide shows all`] : lines;
}

/** Returns the lines on connectivity: what is lost first, then what is gained. */
export function connectivityLines({ links }: DiffResult, most: number): ConnectivityLine[] {
  const { connectivity } = links;
  const wordOf = (outcome: number) => connectivity.verdicts.meaningOf(outcome).verdict;
  const lines = links.rows(most).map((row): ConnectivityLine => {
    const { from, to, ports, family } = row;
    const [before, after] = ports.outcomes.map((outcome) => outcomeText(connectivity.verdicts, outcome));
    const sign = signOf(connectivity, ports.outcomes);
    const note =
      before === undefined && after === undefined ? "" : `${before ?? wordOf(ports.outcomes[0])} → ${after ?? wordOf(ports.outcomes[1])}`;
    return { sign, from, to, ports: family === "" ? ports.text : `${ports.text} (${family})`, note, row };
  });
  const order = "-+~";
  return lines.sort(
    (a, b) => order.indexOf(a.sign) - order.indexOf(b.sign) || compare(a.from, b.from) || compare(a.to, b.to) || compare(a.ports, b.ports),
  );
}

function connectivitySection(result: DiffResult, wide: boolean, style: Style): string[] {
  const title = style.bold("CONNECTIVITY");
  if (result.links.groups.length === 0) return [`${title}   ${style.good("equivalent")}: ${equivalenceText(result)}`];
  const all = connectivityLines(result, wide ? Number.POSITIVE_INFINITY : NAMED);
  const shown = wide ? all : all.slice(0, ROWS);
  const columns: Column[] = [{ title: "" }, { title: "FROM" }, { title: "TO" }, { title: "PORTS" }];
  const hasNotes = shown.some(({ note }) => note !== "");
  if (hasNotes) columns.push({ title: "WHICH" });
  const rows = shown.map(({ sign, from, to, ports, note }) => [sign, from, to, ports, ...(hasNotes ? [note] : [])]);
  const [head, ...body] = tableLines(columns, rows, "  ");
  const colours = { "+": style.good, "-": style.bad, "~": style.bold };
  return [
    `${title}   ${countText(result)} (complete: nothing else changes)`,
    head,
    ...body.map((line, i) => colours[shown[i].sign](line)),
    ...(shown.length < all.length ? [`  … and ${plural(all.length - shown.length, "more line")}: -o wide shows all`] : []),
  ];
}

/** Returns what equivalence was proven over. */
export function equivalenceText({ links }: DiffResult): string {
  const { connectivity, names } = links;
  const nodes = connectivity.nodes.length > 0 ? ", nodes" : "";
  return `both allow exactly the same (proven over ${plural(names.workloads, "workload")}${nodes} and all outside addresses, on every port)`;
}

/** Returns how many pairs of ends gain and lose. */
export function countText(result: DiffResult): string {
  const counts = countsOf(result);
  const parts = [
    counts["-"] > 0 ? `${grouped(counts["-"])} lost` : "",
    counts["+"] > 0 ? `${grouped(counts["+"])} gained` : "",
    counts["~"] > 0 ? `${grouped(counts["~"])} otherwise` : "",
  ];
  return `${parts.filter((part) => part !== "").join(", ")}`;
}

function trafficSection({ result, changed }: TrafficChange, wide: boolean, style: Style): string[] {
  const { summary } = result;
  const title = style.bold("TRAFFIC");
  const window = summary.window === null ? "" : `, ${windowText(summary.window)}`;
  const lines = trafficLines({ result, changed });
  if (lines.length === 0) return [`${title}   no verdict changes, of ${plural(summary.connections, "observed connection")}${window}`];
  const shown = wide ? lines : lines.slice(0, ROWS);
  const rows = shown.map(({ seen, before, after, from, to, port, why, beforeEnd }) => [
    grouped(seen),
    `${before} → ${after}`,
    from,
    to,
    port,
    beforeEnd === undefined ? "" : `${formatDuration(beforeEnd)} before the end`,
    why,
  ]);
  const columns: Column[] = [
    { title: "SEEN", alignRight: true },
    { title: "VERDICT" },
    { title: "FROM" },
    { title: "TO" },
    { title: "PORT" },
    { title: "LAST" },
    { title: "WHY" },
  ];
  return [
    `${title}   ${trafficText({ result, changed })}${window}`,
    ...tableLines(columns, rows, "  "),
    ...(shown.length < lines.length ? [`  … and ${plural(lines.length - shown.length, "more line")}: -o wide shows all`] : []),
  ];
}

/** Returns one sentence on observed connections: how many go from allowed to denied, and the other way round. */
export function trafficText({ result, changed }: TrafficChange): string {
  const { connections } = result.simulation;
  const told = (from: string, to: string) => {
    const own = changed.filter((i) => verdictsOf(result, i).join() === `${from},${to}`);
    const seen = own.reduce((sum, i) => sum + connections.count(i), 0);
    const [has, time] = [own.length === 1 ? "goes" : "go", seen === 1 ? "once" : `${grouped(seen)} times`];
    return own.length === 0 ? "" : `${plural(own.length, "connection")} seen ${time} ${has} from ${from} to ${to}`;
  };
  const parts = ["allow,deny", "deny,allow", "allow,unknown", "unknown,allow", "deny,unknown", "unknown,deny"].map((pair) => {
    const [from, to] = pair.split(",");
    return told(from, to);
  });
  const dropped = changed.filter((i) => isDropped(result, i)).length;
  const none = dropped === 0 && !changed.some((i) => verdictsOf(result, i)[1] === "deny") ? ["none goes to deny"] : [];
  return [...parts.filter((part) => part !== ""), ...none].join("; ");
}

/** Returns the observed connections whose verdict changes, by workloads and port, the most often seen first. */
export function trafficLines({ result, changed }: TrafficChange): TrafficLine[] {
  const { simulation } = result;
  const { connections } = simulation;
  const explainer = new Explainer(result);
  const end = connections.newestSeconds() ?? Number.NEGATIVE_INFINITY;
  const groups = new Map<string, { -readonly [Key in keyof TrafficLine]: TrafficLine[Key] }>();
  for (const i of changed) {
    const [before, after] = verdictsOf(result, i);
    const { deniedBy, why } = after === "allow" ? { deniedBy: "", why: "" } : explainer.explain(i);
    const [from, to] = [endpointLabel(simulation.source(i)), endpointLabel(simulation.destination(i))];
    const port = portLabel(connections.protocol(i), simulation.ports[i]);
    const text = [deniedBy, why].filter((part) => part !== "").join(": ");
    const key = JSON.stringify([before, after, from, to, port, text]);
    const last = connections.lastSeconds(i);
    const beforeEnd = Number.isNaN(last) ? undefined : end - last;
    const group = groups.get(key);
    if (group === undefined)
      groups.set(key, { before, after, from, to, port, why: text, seen: connections.count(i), connections: 1, beforeEnd });
    else {
      group.seen += connections.count(i);
      group.connections++;
      if (beforeEnd !== undefined) group.beforeEnd = Math.min(group.beforeEnd ?? beforeEnd, beforeEnd);
    }
  }
  return [...groups.values()].sort((a, b) => Number(b.after === "deny") - Number(a.after === "deny") || b.seen - a.seen);
}
