import { formatRfc3339 } from "../net/time.ts";
import type { AuditVerdict } from "../policy/auditVerdict.ts";
import { safeYaml } from "./safeYaml.ts";
import { printable, safeJson, tableLines } from "./text.ts";

export interface VerdictsResult {
  /** Newest first. */
  readonly verdicts: readonly AuditVerdict[];
  /** Of the policies; undefined: all, and the whole cluster's. */
  readonly namespace: string | undefined;
  /** How many were asked for at most. */
  readonly limit: number;
  /** The broker may have more than it gave. */
  readonly mayBeCut: boolean;
  /** Epoch seconds of the run. */
  readonly now: number;
  readonly warnings: readonly string[];
}

/** The broker gives no more at once. */
export const MOST_VERDICTS = 500;

function timeOf({ time }: AuditVerdict): string | null {
  return time === undefined ? null : (formatRfc3339(time.seconds, time.nanoseconds) ?? null);
}

function kindOf({ policyNamespace }: AuditVerdict): string {
  return policyNamespace === "" ? "AuditClusterNetworkPolicy" : "AuditNetworkPolicy";
}

function verdictsReport({ verdicts, limit, mayBeCut, warnings }: VerdictsResult): object {
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "AuditVerdictReport",
    summary: {
      records: verdicts.length,
      wouldDeny: verdicts.filter(isDenied).length,
      limit,
      mayBeCut,
    },
    verdicts: verdicts.map((each) => ({
      observedAt: timeOf(each),
      policy: { kind: kindOf(each), ...(each.policyNamespace === "" ? {} : { namespace: each.policyNamespace }), name: each.policyName },
      direction: each.direction,
      source: each.source === "?" ? null : each.source,
      destination: each.destination === "?" ? null : each.destination,
      port: each.port ?? null,
      protocol: each.protocol,
      verdict: each.verdict,
      reason: each.reason,
    })),
    warnings,
  };
}

function isDenied({ verdict }: AuditVerdict): boolean {
  return verdict !== "Allow";
}

export function verdictsJson(result: VerdictsResult): string {
  return `${safeJson(verdictsReport(result), 2)}\n`;
}

export function verdictsYaml(result: VerdictsResult): string {
  return safeYaml(verdictsReport(result));
}

/** Returns the policies that verdicts are of, one a line. */
export function verdictsNames({ verdicts }: VerdictsResult): string {
  const names = new Set(verdicts.map((each) => `${kindOf(each).toLowerCase()}.kguardian.dev/${printable(each.policyName)}\n`));
  return [...names].sort().join("");
}

/** Returns the table that a person reads; with nothing in it, none. */
export function verdictsTable(result: VerdictsResult, wide = false): string {
  const { verdicts, now } = result;
  if (verdicts.length === 0) return "";
  const columns = [
    ...(wide ? [{ title: "TIME" }] : []),
    { title: "AGE" },
    { title: "POLICY" },
    { title: "DIRECTION" },
    { title: "FROM" },
    { title: "TO" },
    { title: "PORT" },
    { title: "VERDICT" },
    { title: "REASON" },
  ];
  const rows = verdicts.map((each) => [
    ...(wide ? [each.time === undefined ? "<unknown>" : (formatRfc3339(each.time.seconds, 0)?.replace(/\.0+Z$/, "Z") ?? "<unknown>")] : []),
    each.time === undefined ? "<unknown>" : ageText(now - each.time.seconds),
    cell(each.policyNamespace === "" ? each.policyName : `${each.policyNamespace}/${each.policyName}`),
    cell(each.direction),
    cell(each.source),
    cell(each.destination),
    cell(portText(each)),
    cell(each.verdict),
    cell(each.reason, wide ? Number.POSITIVE_INFINITY : LONGEST_REASON),
  ]);
  return [...tableLines(columns, rows), "", ...hintLines(result), ""].join("\n");
}

/** The longest names that Kubernetes has, twice: whatever is longer is not one, and would make every line as long. */
const LONGEST_CELL = 128;
const LONGEST_REASON = 160;

function cell(text: string, longest = LONGEST_CELL): string {
  if (text === "" || text === "?") return "<unknown>";
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

function portText({ port, protocol }: AuditVerdict): string {
  const name = protocol.toUpperCase();
  return port === undefined ? name : name === "" ? String(port) : `${port}/${name}`;
}

/** Says what to do with what the table shows. */
function hintLines({ verdicts, mayBeCut, limit }: VerdictsResult): string[] {
  const lines: string[] = [];
  const denied = verdicts.find(isDenied);
  const { policyName, policyNamespace } = denied ?? verdicts[0];
  const policy = `${printable(cell(policyName))}${policyNamespace === "" ? "" : ` -n ${printable(cell(policyNamespace))}`}`;
  lines.push(
    denied === undefined
      ? `Nothing here would be denied: \`kubectl kguardian audit promote ${policy}\` prints the NetworkPolicy to enforce.`
      : `What is wanted of this needs a rule in its policy; once only unwanted connections are left, \`kubectl kguardian audit promote ${policy}\` prints the NetworkPolicy to enforce.`,
  );
  if (mayBeCut) lines.push(cutText(limit));
  return lines;
}

/** Says that there may be more, and how to see it. */
export function cutText(limit: number): string {
  return limit < MOST_VERDICTS
    ? `These are the newest ${limit}: there may be more, --limit gives up to ${MOST_VERDICTS}.`
    : `These are the newest ${MOST_VERDICTS}, and the broker gives no more at once: ask for less with --policy, --namespace, --verdict or --direction.`;
}

/** Returns an age as kubectl prints it (k8s.io/apimachinery, duration.HumanDuration): `45s`, `3m20s`, `12m`, `5h3m`, `2d4h`, `9d`, `2y30d`. */
export function ageText(seconds: number): string {
  // Clocks differ: a moment a little ahead is now.
  if (seconds < -1) return "<invalid>";
  const whole = Math.max(0, Math.floor(seconds));
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  const years = Math.floor(days / 365);
  const pair = (first: string, rest: number, unit: string) => (rest === 0 ? first : `${first}${rest}${unit}`);
  if (whole < 120) return `${whole}s`;
  if (minutes < 10) return pair(`${minutes}m`, whole % 60, "s");
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return pair(`${hours}h`, minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(`${days}d`, hours % 24, "h");
  if (days < 730) return `${days}d`;
  if (years < 8) return pair(`${years}y`, days % 365, "d");
  return `${years}y`;
}
