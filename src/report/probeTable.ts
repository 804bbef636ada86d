import { grouped, plural } from "../net/number.ts";
import { type BlindSpots, coveredName, type FailedExpectation, type Forgotten } from "../synth/blindSpots.ts";
import type { Mutation } from "../synth/mutations.ts";
import { someOf } from "./coverageResult.ts";
import { openWorkloads } from "./coverageTable.ts";
import { cniText, objectName, policyLabel } from "./labels.ts";
import { countsOf, failureText, type ProbeResult, rulePlaceText, ruleText } from "./probeResult.ts";
import { section } from "./section.ts";
import { PLAIN_STYLE, printable, type Style } from "./text.ts";

/** A section of what was found: people and pull requests are told the same. */
export interface ProbeSection {
  readonly title: string;
  readonly text: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly isBad: boolean;
}

/** Returns what a person reads: what the probes found, by kind. */
export function probeTable(result: ProbeResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const lines = [probeHeader(result), ""];
  for (const { title, text, columns, rows, isBad } of sectionsOf(result, wide))
    section(
      lines,
      (isBad ? style.bad : style.bold)(title.toUpperCase()),
      text,
      rows,
      wide,
      columns.map((column) => column.toUpperCase()),
    );
  for (const warning of result.warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  if (result.warnings.length > 0) lines.push("");
  const { held, failed, unknown } = countsOf(result);
  lines.push(`held ${grouped(held)} · failed ${grouped(failed)} · unknown ${grouped(unknown)}`);
  return `${lines.join("\n")}\n`;
}

/** Returns one line on what was asked. */
export function probeHeader(result: ProbeResult): string {
  const { policies, rules, probes, mutations, noticed, equivalent } = countsOf(result);
  return `${plural(probes, "probe")} at the edges of ${plural(rules, "rule")} in ${plural(policies, "policy", "policies")} · ${cniText(result.cni)}
Of ${plural(mutations, "small change")} to these policies the probes notice ${grouped(noticed)}; ${grouped(equivalent)} change nothing (proven).`;
}

/** Returns everything that was found; what there is none of is left out. */
export function sectionsOf(result: ProbeResult, wide: boolean): ProbeSection[] {
  const { blindSpots } = result;
  const { failed, redundant, missed, withoutDns, withoutHealthChecks } = blindSpots;
  const rule = ["Rule", "Place", "Why"];
  const failures = (kind: FailedExpectation["kind"]) =>
    failed
      .filter((each) => each.kind === kind)
      .map((each) => [ruleText(each.policy, each.rule), rulePlaceText(each.policy, each.rule), failureText(result, each)]);
  const changes = (mutations: readonly Mutation[]) =>
    mutations.map((mutation) => [ruleText(mutation.policy, mutation.rule), rulePlaceText(mutation.policy, mutation.rule), mutation.what]);
  const sections: ProbeSection[] = [
    { title: "Asymmetric", text: "allowed at one end and denied at the other", columns: rule, rows: failures("blocked"), isBad: true },
    { title: "Overruled", text: "allowed in vain at the same end", columns: rule, rows: failures("overruled"), isBad: true },
    { title: "Holes", text: "outside of a rule, and allowed all the same", columns: rule, rows: failures("hole"), isBad: true },
    {
      title: "DNS forgotten",
      text: "may talk to somebody, and resolve no name",
      columns: FORGOTTEN,
      rows: forgotten(withoutDns),
      isBad: true,
    },
    {
      title: "Health checks forgotten",
      text: "every port that they declare is closed to their own node (kubelet probes)",
      columns: FORGOTTEN,
      rows: forgotten(withoutHealthChecks),
      isBad: true,
    },
    {
      title: "Redundant",
      text: "no connection tells whether the rule is there (proven)",
      columns: rule,
      rows: changes(redundant),
      isBad: false,
    },
    {
      title: "Missed",
      text: "changes that alter connectivity, and that no probe shows",
      columns: rule,
      rows: changes(missed),
      isBad: false,
    },
    {
      title: "Not isolated",
      text: "nothing denies there by default",
      columns: ["How", "Workloads"],
      rows: openRows(blindSpots, wide),
      isBad: false,
    },
  ];
  return sections.filter(({ rows }) => rows.length > 0);
}

const FORGOTTEN = ["Workload", "Denied by"];

function forgotten(all: readonly Forgotten[]): string[][] {
  return all.map(({ workload, policies }) => [coveredName(workload), someOf(policies.map(policyLabel))]);
}

function openRows({ open }: BlindSpots, wide: boolean): string[][] {
  return openWorkloads({ workloads: open }).map(({ title, names }) => [title, someOf(names, wide ? names.length : 6)]);
}

/** Returns the policies that a failed expectation came from, as kubectl's `-o name` writes objects. */
export function probeNames({ blindSpots: { failed } }: ProbeResult): string {
  return [...new Set(failed.map(({ policy }) => `${printable(objectName(policy.ref))}\n`))].sort().join("");
}
