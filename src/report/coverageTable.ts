import { shortWorkload } from "../cluster/workloads.ts";
import type { CoveredWorkload } from "../evaluate/coverageWorkloads.ts";
import { grouped, plural } from "../net/number.ts";
import { formatDuration } from "../net/time.ts";
import {
  type CoverageResult,
  type CoveredRule,
  coverText,
  idleText,
  isBelowMinimum,
  percentageOf,
  ruleLabel,
  rulePlace,
  rulesWith,
  someOf,
} from "./coverageResult.ts";
import { objectName, placeLabel, policyLabel } from "./labels.ts";
import { section } from "./section.ts";
import { header } from "./simulationTable.ts";
import { PLAIN_STYLE, printable, type Style, tableLines } from "./text.ts";
import { styledDiff } from "./textDiff.ts";

/** Rows of the list of rules that a screen holds; `-o wide` shows all. */
const ROWS = 30;
/** Lines of the tighter policies' text. */
const DIFF_LINES = 40;

/** Returns what a person reads: every rule, then what is to be said of some. */
export function coverageTable(result: CoverageResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const lines = [header(result.simulation), "", percentageLine(result, style)];
  lines.push(...ruleRows(result, wide), "");
  section(lines, style.bad("DEAD"), deadTitle(result), rowsOf(rulesWith(result, "dead"), silenceText), wide);
  section(
    lines,
    style.bold("NOT EXERCISED"),
    "their workloads had no traffic at all",
    rowsOf(rulesWith(result, "not-exercised"), silenceText),
    wide,
  );
  section(
    lines,
    style.bold("NOT KNOWN"),
    "connections with an unknown verdict may have used them",
    rowsOf(rulesWith(result, "unknown"), unknownText),
    wide,
  );
  section(lines, style.bad("REDUNDANT"), REDUNDANT_TITLE, rowsOf(rulesWith(result, "redundant"), coverText), wide);
  section(lines, style.bad("MATCHES NOTHING"), "nobody here is what they ask for", idleRows(result), wide);
  section(lines, style.bold("WIDER THAN USED"), "the widest first", widerRows(result, wide), wide, ["RULE", "PLACE", "NOT USED"]);
  for (const { policy, diff } of result.tighter) lines.push(...diffLines(policyLabel(policy), diff, wide, style));
  lines.push(...isolationLines(result, wide, style));
  if (result.warnings.length > 0) lines.push("");
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  return `${lines.join("\n")}\n`;
}

/** Returns how many rules were hit, in a sentence. */
export function percentageText(result: CoverageResult): string {
  const { rules, hit, percentage } = percentageOf(result);
  if (percentage === null) return "no rule is in force";
  return `${percentage} % (${grouped(hit)} of ${plural(rules, "rule")} in force decided a connection)`;
}

function percentageLine(result: CoverageResult, style: Style): string {
  const text = percentageText(result);
  const isBelow = isBelowMinimum(result);
  const minimum = result.minimum === undefined ? "" : `${isBelow ? ", below" : ", at least"} --min ${result.minimum}`;
  return `${style.bold("COVERAGE")}   ${(isBelow ? style.bad : (each: string) => each)(text + minimum)}`;
}

function ruleRows(result: CoverageResult, wide: boolean): string[] {
  if (result.rules.length === 0) return [];
  const shown = wide ? result.rules : result.rules.slice(0, ROWS);
  let before: unknown;
  const rows = shown.map((covered) => {
    const { rule, use, findings } = covered;
    const isFirst = before !== rule.policy;
    before = rule.policy;
    return [
      isFirst || wide ? policyLabel(rule.policy) : "",
      `${rule.path}${rule.action === "allow" ? "" : ` ${rule.action}`}`,
      ...(wide ? [rulePlace(rule), grouped(use.decided.connections)] : []),
      grouped(use.decided.hits),
      ...(wide ? [use.decided.firstSeen?.slice(0, 19) ?? "-"] : []),
      lastSeen(covered),
      findings.map((finding) => (finding === "unknown" ? "not known" : finding.replaceAll("-", " "))).join(", ") + elsewhere(covered),
    ];
  });
  const columns = [
    { title: "POLICY" },
    { title: "RULE" },
    ...(wide ? [{ title: "PLACE" }, { title: "CONNECTIONS", alignRight: true }] : []),
    { title: "HITS", alignRight: true },
    ...(wide ? [{ title: "FIRST SEEN (UTC)" }] : []),
    { title: "LAST SEEN (UTC)" },
    { title: "FINDING" },
  ];
  const rest = result.rules.length - shown.length;
  return [...tableLines(columns, rows, "  "), ...(rest > 0 ? [`  … and ${plural(rest, "more rule")}: -o wide shows all`] : [])];
}

function lastSeen({ use: { decided } }: CoveredRule): string {
  return decided.lastSeen?.slice(0, 19).replace("T", " ") ?? "-";
}

/** What matched and was decided by a rule before it, or failed all the same. */
function elsewhere({ use: { matched, decided, failed }, findings }: CoveredRule): string {
  const others = matched.hits - decided.hits;
  const lead = findings.length === 0 ? "" : "; ";
  if (others > 0) return `${lead}matched ${plural(others, "more time")}, and another rule decided`;
  return decided.hits === 0 && failed > 0 ? `${lead}${plural(failed, "connection")} that it allows failed` : "";
}

type SectionRow = readonly string[];

function rowsOf(rules: readonly CoveredRule[], textOf: (covered: CoveredRule) => string): SectionRow[] {
  return rules.map((covered) => [ruleLabel(covered.rule), rulePlace(covered.rule), textOf(covered)]);
}

/** Returns how far "no hit" is evidence. */
export function deadTitle({ simulation: { summary } }: CoverageResult): string {
  const { window, confidence } = summary;
  const during = window === null ? "no hit in what was observed" : `no hit in the ${formatDuration(window.seconds)} that were observed`;
  return confidence.level === "full" ? during : `${during}, of which not all is in the inputs (confidence ${confidence.level})`;
}

export const REDUNDANT_TITLE = "without any one of them the same is allowed (proven; where two stand in for each other, one must stay)";

/** Says which workloads of a rule had no traffic, so that nothing can be said of them. */
export function silenceText({ workloads, silent, rule, use }: CoveredRule): string {
  if (silent.length > 0)
    return `no traffic: ${someOf(silent.map(workloadLabel))}${silent.length < workloads.length ? ` (${silent.length} of ${workloads.length} that it selects)` : ""}`;
  if (use.matched.hits > 0) return `another rule decided the ${plural(use.matched.hits, "time")} that it matched`;
  if (use.failed > 0) return `${plural(use.failed, "connection")} that it allows failed`;
  return `${plural(workloads.length, "workload")} with other traffic only${rule.action === "allow" ? "" : `, none of it to ${rule.action}`}`;
}

/** Says how many connections may have come under a rule. */
export function unknownText({ use }: CoveredRule): string {
  return `${plural(use.unknown, "connection")} may have come under it: simulate tells what is missing`;
}

function workloadLabel({ namespace, workload }: CoveredWorkload): string {
  return `${namespace}/${shortWorkload(workload)}`;
}

/** Returns policies, rules and peers that match nothing, each once with what comes near. */
export function idleRows(result: CoverageResult): SectionRow[] {
  const policies = result.idlePolicies.map(
    ({ policy, near }): SectionRow => [
      `${policyLabel(policy)} (whole policy)`,
      placeLabel(policy.ref),
      `selects no pod${near === undefined ? "" : `: ${near}`}`,
    ],
  );
  const rules = result.rules.flatMap((covered): SectionRow[] => {
    const { rule, effect, idlePeers } = covered;
    if (effect.kind === "idle")
      return effect.lacks === "subject" ? [] : [[ruleLabel(rule), rulePlace(rule), idleText(covered, result, rule)]];
    return idlePeers.map(({ ref, near }) => [
      `${policyLabel(rule.policy)} ${ref.path}`,
      placeLabel(ref),
      `nobody here is that${near === undefined ? "" : `: ${near}`}`,
    ]);
  });
  return [...policies, ...rules];
}

/** Returns rules that allow more than they were used for, the widest first. */
export function widerRows(result: CoverageResult, wide: boolean): SectionRow[] {
  return rulesWith(result, "wider")
    .toSorted((a, b) => b.slack!.width - a.slack!.width)
    .map(({ rule, slack }) => {
      const { ports, peers, because } = slack!;
      const parts = [ports === "" ? "" : `ports ${ports}`, peers.length === 0 ? "" : `peers ${someOf(peers, wide ? peers.length : 3)}`];
      const text = parts.filter((part) => part !== "").join("; ");
      return [ruleLabel(rule), rulePlace(rule), because === undefined ? text : `${text} (no tighter rule: ${because})`];
    });
}

function diffLines(title: string, diff: readonly string[], wide: boolean, style: Style): string[] {
  const shown = wide ? diff : diff.slice(0, DIFF_LINES);
  const rest = diff.length - shown.length;
  return [
    style.bold(`TIGHTER ${printable(title)}`),
    ...styledDiff(shown, style).map((line) => `    ${line}`),
    ...(rest > 0 ? [`    … and ${plural(rest, "more line")}: -o wide shows all`] : []),
    "",
  ];
}

/** Returns the workloads that no policy isolates, by direction; those on the host network apart. */
export function openWorkloads({
  workloads,
}: Pick<CoverageResult, "workloads">): readonly { readonly title: string; readonly names: readonly string[] }[] {
  const own = workloads.filter(({ hostNetwork }) => !hostNetwork);
  const open = (direction: "ingress" | "egress", isolation: string) =>
    own.filter(({ isolated }) => isolated[direction] === isolation).map(workloadLabel);
  const both = own.filter(({ isolated }) => isolated.ingress === "no" && isolated.egress === "no").map(workloadLabel);
  const rest = (names: readonly string[]) => names.filter((name) => !both.includes(name));
  return [
    { title: "in neither direction", names: both },
    { title: "not for ingress", names: rest(open("ingress", "no")) },
    { title: "not for egress", names: rest(open("egress", "no")) },
    { title: "in part (not every pod)", names: [...new Set([...open("ingress", "part"), ...open("egress", "part")])] },
    {
      title: "not known (labels of namespaces are missing)",
      names: [...new Set([...open("ingress", "unknown"), ...open("egress", "unknown")])],
    },
    { title: "host network: no policy selects them", names: workloads.filter(({ hostNetwork }) => hostNetwork).map(workloadLabel) },
  ].filter(({ names }) => names.length > 0);
}

function isolationLines(result: CoverageResult, wide: boolean, style: Style): string[] {
  const open = openWorkloads(result);
  if (open.length === 0) return [];
  const own = result.workloads.filter(({ hostNetwork }) => !hostNetwork).length;
  return [
    `${style.bold("NOT ISOLATED")}   of ${plural(own, "workload")}`,
    ...open.map(({ title, names }) => `  ${title}: ${printable(someOf(names, wide ? names.length : 6))}`),
  ];
}

/** Returns the policies with a dead or redundant rule, as kubectl's `-o name` writes objects. */
export function coverageNames({ rules }: CoverageResult): string {
  const concerned = rules.filter(({ findings }) => findings.includes("dead") || findings.includes("redundant"));
  return [...new Set(concerned.map(({ rule }) => `${printable(objectName(rule.policy.ref))}\n`))].sort().join("");
}
