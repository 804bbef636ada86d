import type { InputSummary } from "../capture/observation.ts";
import { apiGroup } from "../cluster/objects.ts";
import { lengthText, spanText } from "../generate/comments.ts";
import type { Evidence } from "../generate/evidence.ts";
import { isCut, type LeftOut, type LeftOutReason } from "../generate/gather.ts";
import type { Generation } from "../generate/generate.ts";
import type { PlannedPolicy } from "../generate/plan.ts";
import { labelOf, type SelectableWorkload } from "../generate/workloads.ts";
import { grouped, plural } from "../net/number.ts";
import { formatRfc3339 } from "../net/time.ts";
import { confidenceOf } from "./confidence.ts";
import { cniText, type ReportedCni } from "./labels.ts";
import { PLAIN_STYLE, printable, type Style, safeJson, tableLines } from "./text.ts";

/** Everything that reports of a generation are made of. */
export interface GenerationResult {
  readonly generation: Generation;
  readonly inputs: readonly InputSummary[];
  readonly cni: ReportedCni;
  readonly warnings: readonly string[];
  /** Workloads that policies were asked for. */
  readonly wanted: number;
  /** What became of the policies in a cluster; absent where none was touched. */
  readonly applied?: readonly { readonly apiVersion: string; readonly kind: string; readonly name: string }[];
}

const REASONS: Readonly<Record<LeftOutReason, string>> = {
  refused: "refused",
  unanswered: "never answered",
  dropped: "dropped",
  "partly-failed": "failed, while others of the same kind worked",
  "one-way": "one-way to a port that nobody is known to serve",
  "perhaps-reply": "to an ephemeral port of who connects here, so perhaps a reply (--include-failed takes it for a connection)",
  "dropped-by-existing": "not answered, and existing policies deny it",
  "denied-by-existing": "denied, whatever is allowed, by",
  inexpressible: "",
  "unknown-peer": "",
};

/** Returns why connections were left out. */
export function leftOutText({ reason, detail }: Pick<LeftOut, "reason" | "detail">): string {
  return [REASONS[reason], detail].filter((text) => text !== "").join(" ");
}

function evidenceJson(evidence: Evidence) {
  const { connections, seen, unanswered, firstSeconds, firstNanoseconds, lastSeconds, lastNanoseconds } = evidence;
  return {
    connections,
    seen,
    unanswered,
    firstSeen: formatRfc3339(firstSeconds, firstNanoseconds) ?? null,
    lastSeen: formatRfc3339(lastSeconds, lastNanoseconds) ?? null,
  };
}

function workloadJson({ namespace, kind, name }: SelectableWorkload) {
  return { type: "pod", namespace, workload: `${kind}/${name}` };
}

/** Returns the report as one plain object (kind GenerationReport). `directory`: where the files were written; undefined: nowhere. */
export function generationReport(result: GenerationResult, directory: string | undefined): Record<string, unknown> {
  const { generation, inputs, cni, warnings, wanted } = result;
  const { policies, proof, gathered, thin, unobserved } = generation;
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "GenerationReport",
    summary: {
      workloads: wanted,
      policies: policies.length,
      rules: proof.rules,
      connections: generation.simulation.connections.size,
      learned: proof.learned,
      leftOut: gathered.leftOut.reduce((sum, { evidence }) => sum + evidence.connections, 0),
      confidence: confidenceOf(inputs),
    },
    cni,
    warnings,
    inputs,
    policies: policies.map((planned) => policyJson(planned, directory)),
    proof: {
      learned: proof.learned,
      allowed: proof.allowed,
      rules: proof.rules,
      used: proof.used,
      needed: proof.needed,
      probes: proof.probes,
      denied: proof.denied,
      explained: proof.explained.map(({ probe, by }) => ({
        file: probe.policy.file,
        rule: probe.policy.rules[probe.rule].rule.ref.path,
        with: probe.what,
        allowedBy: by,
      })),
    },
    leftOut: gathered.leftOut.map(({ reason, detail, evidence, sources, destinations }) => ({
      reason,
      ...(detail === "" ? {} : { detail }),
      isCut: policies.length > 0 && isCut(reason),
      ...evidenceJson(evidence),
      sources: firstOf(sources),
      destinations: firstOf(destinations),
    })),
    tooThin: thin.map(({ workload, learned, why }) => ({ workload: workloadJson(workload), why, ...evidenceJson(learned.evidence) })),
    cannotBeSelected: generation.unselectable.map(workloadJson),
    cautions: generation.cautions,
    nothingLearned: generation.unlearned.map(workloadJson),
    notSeen: unobserved.map(workloadJson),
    ...(result.applied === undefined ? {} : { applied: result.applied }),
  };
}

/** Ends that the report lists of what was left out. */
const LISTED_ENDS = 20;

function firstOf(texts: ReadonlySet<string>): string[] {
  return [...texts].sort().slice(0, LISTED_ENDS);
}

function policyJson({ policy, object, file, learned, rules, alsoSelects, closes }: PlannedPolicy, directory: string | undefined) {
  return {
    kind: policy.ref.kind,
    ...(policy.ref.namespace === undefined ? {} : { namespace: policy.ref.namespace }),
    name: policy.ref.name,
    file: directory === undefined ? null : joined(directory, file),
    ...(learned === undefined
      ? {}
      : {
          workload: workloadJson(learned.workload),
          learned: {
            ...evidenceJson(learned.evidence),
            seconds: Number.isNaN(learned.evidence.seconds) ? null : learned.evidence.seconds,
            days: learned.days.size,
          },
        }),
    rules: rules.map(({ rule, evidence, peers, remarks, unseen, many, needed }) => ({
      rule: rule.ref.path,
      evidence: evidenceJson(evidence),
      peers: peers.map((peer) => ({ name: peer.label, ...evidenceJson(peer.evidence) })),
      remarks,
      alsoMatches: unseen,
      ...(many === undefined ? {} : { prefixes: many }),
      ...(needed === undefined ? {} : { neededFor: needed }),
    })),
    alsoSelects: alsoSelects.map(workloadJson),
    closes,
    object,
  };
}

/** Returns the report as JSON text. */
export function generationJson(result: GenerationResult, directory: string | undefined): string {
  return `${safeJson(generationReport(result, directory), 2)}\n`;
}

/** Returns `kind.group/name` of every policy, one a line. */
export function generationNames({ generation: { policies } }: GenerationResult): string {
  return policies.map(({ policy: { ref } }) => `${ref.kind.toLowerCase()}.${apiGroup(ref.apiVersion)}/${ref.name}\n`).join("");
}

/** Returns the files that are written: policies of one file have one text. */
export function generationFiles({ generation: { policies } }: GenerationResult): { readonly file: string; readonly text: string }[] {
  return [...new Map(policies.map(({ file, text }) => [file, { file, text }])).values()];
}

/** Returns the policies as one text of several documents. */
export function generationDocuments(result: GenerationResult): string {
  return generationFiles(result)
    .map(({ text }) => text)
    .join("---\n");
}

export function joined(directory: string, file: string): string {
  return `${directory.replace(/\/+$/, "")}/${file}`;
}

/** Rows of a section that a screen holds. */
const ROWS = 20;

/** Returns the summary that a person reads. `directory`: where the files are; undefined: the policies went to standard output. */
export function generationTable(result: GenerationResult, directory: string | undefined, wide = false, style: Style = PLAIN_STYLE): string {
  const { generation, cni, warnings, wanted } = result;
  const { policies, gathered, thin, unobserved, unlearned } = generation;
  const lines: string[] = [];
  lines.push(`${plural(policies.length, "policy", "policies")} for ${plural(wanted, "workload")} · ${cniText(cni)}`, "");
  if (policies.length > 0) {
    const columns = [
      { title: "FILE" },
      { title: "WORKLOAD" },
      { title: "INGRESS", alignRight: true },
      { title: "EGRESS", alignRight: true },
      { title: "CONNECTIONS", alignRight: true },
      { title: "OVER", alignRight: true },
      ...(wide
        ? [
            { title: "SEEN", alignRight: true },
            { title: "DAYS", alignRight: true },
          ]
        : []),
    ];
    lines.push(
      ...tableLines(
        columns,
        policies.map((planned) => policyRow(planned, directory, wide)),
        "",
      ),
      "",
    );
    lines.push(proofLine(result, style));
  } else if (generation.proof.learned > 0)
    lines.push(style.good(`Nothing to add: the policies allow all ${grouped(generation.proof.learned)} connections that were learned`));
  const isCutNow = ({ reason }: LeftOut) => policies.length > 0 && isCut(reason);
  section(lines, style.bad("WILL BE CUT"), leftOutLines(gathered.leftOut.filter(isCutNow)));
  section(lines, style.bad("MIND"), generation.cautions);
  section(lines, style.bad("CLOSED"), closedLines(policies));
  section(lines, style.bold("ALSO SELECTED"), selectedLines(policies));
  section(lines, style.bold("ALSO ALLOWED"), unseenLines(policies));
  section(lines, style.bold("MANY PREFIXES"), manyLines(policies));
  section(lines, style.bold("LEFT OUT"), leftOutLines(gathered.leftOut.filter((each) => !isCutNow(each))));
  section(
    lines,
    style.bold("TOO THIN"),
    thin.map(({ workload, why }) => `${labelOf(workload)}: ${why}`),
  );
  section(
    lines,
    style.bold("CANNOT BE SELECTED"),
    generation.unselectable.map((workload) => `${labelOf(workload)}, ${workload.remark}: no policy is written for it, and it stays open`),
  );
  section(lines, style.bold("NOTHING LEARNED"), unlearnedLines(unlearned));
  section(lines, style.bold("OPEN ANYWAY"), openLines(generation));
  if (unobserved.length > 0) {
    const names = unobserved.map(labelOf);
    const closed = policies.some(({ learned }) => learned === undefined);
    lines.push(
      `${style.bold("NOT SEEN")}   no traffic data found for ${names.slice(0, 6).join(", ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""}: ${closed ? "the default deny closes" : "no policy is written for"} ${names.length === 1 ? "it" : "them"}; capture for longer, or where ${names.length === 1 ? "its" : "their"} pods run`,
    );
  }
  for (const text of confidenceOf(result.inputs).because)
    lines.push(`${style.bold("INCOMPLETE")}   ${printable(text)}: what was not seen gets no rule`);
  for (const warning of warnings) lines.push(`${style.bold("NOTE")}   ${printable(warning)}`);
  return `${lines
    .map((line) => line.trimEnd())
    .join("\n")
    .trimEnd()}\n`;
}

function policyRow({ file, learned, policy, rules, isExtended }: PlannedPolicy, directory: string | undefined, wide: boolean): string[] {
  const count = (direction: "ingress" | "egress") => (isExtended ? "+" : "") + rules.filter((rule) => rule.direction === direction).length;
  const title =
    directory === undefined
      ? `${policy.ref.namespace === undefined ? "" : `${policy.ref.namespace}/`}${policy.ref.name}`
      : joined(directory, file);
  if (learned === undefined) return [title, "(every pod)", count("ingress"), count("egress"), "", "", ...(wide ? ["", ""] : [])];
  const { workload, evidence, days } = learned;
  return [
    title,
    labelOf(workload),
    count("ingress"),
    count("egress"),
    grouped(evidence.connections),
    lengthText(evidence) ?? "no times",
    ...(wide ? [grouped(evidence.seen), days.size === 0 ? "" : String(days.size)] : []),
  ];
}

function proofLine({ generation: { proof } }: GenerationResult, style: Style): string {
  const { learned, allowed, rules, used, needed, probes, denied, explained } = proof;
  const alone = needed > 0 ? ` (${needed} more for toFQDNs)` : "";
  const open = explained.filter(({ existing }) => existing !== undefined).length;
  const own = explained.length - open;
  const others = `${own > 0 ? `, ${grouped(own)} allowed by rules with evidence of their own` : ""}${open > 0 ? `, ${grouped(open)} by existing policies` : ""}`;
  return style.good(
    `Proof: ${grouped(allowed)} of ${grouped(learned)} learned connections allowed · ${grouped(used)} of ${grouped(rules - needed)} rules used${alone} · ${grouped(denied)} of ${grouped(probes)} probes beside them denied${others}`,
  );
}

function section(lines: string[], title: string, texts: readonly string[]): void {
  if (texts.length === 0) return;
  if (texts.length === 1) {
    lines.push(`${title}   ${printable(texts[0])}`);
    return;
  }
  lines.push(title);
  for (const text of texts.slice(0, ROWS)) lines.push(`  ${printable(text)}`);
  if (texts.length > ROWS) lines.push(`  … and ${texts.length - ROWS} more: -o json lists all`);
}

function closedLines(policies: readonly PlannedPolicy[]): string[] {
  return policies.flatMap(({ learned, closes, file }) => {
    if (learned === undefined) return [`${file} closes every pod of its namespace that no other policy opens`];
    return closes.map((direction) =>
      direction === "ingress"
        ? `no incoming traffic of ${labelOf(learned.workload)} was seen that needs a rule: none is allowed`
        : `no outgoing traffic of ${labelOf(learned.workload)} was seen that needs a rule: none is allowed, not even DNS`,
    );
  });
}

function selectedLines(policies: readonly PlannedPolicy[]): string[] {
  return policies.flatMap(({ learned, alsoSelects }) =>
    learned === undefined || alsoSelects.length === 0
      ? []
      : [`the selector of ${labelOf(learned.workload)} also selects ${alsoSelects.map(labelOf).join(", ")}`],
  );
}

function unseenLines(policies: readonly PlannedPolicy[]): string[] {
  return policies.flatMap(({ file, rules }) =>
    rules.flatMap(({ rule, unseen }) =>
      unseen.length === 0 ? [] : [`${file} ${rule.ref.path} also lets ${unseen.join(", ")}, never seen there`],
    ),
  );
}

function unlearnedLines(unlearned: readonly SelectableWorkload[]): string[] {
  if (unlearned.length === 0) return [];
  const names = unlearned.map(labelOf);
  return [
    `all that was seen of ${names.slice(0, 6).join(", ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""} was left out: no policy is written for ${names.length === 1 ? "it" : "them"}`,
  ];
}

/** Existing policies that allow what lies beside the rules: what is written then closes less than it seems to. */
function openLines({ proof: { explained } }: Generation): string[] {
  const byPolicy = Map.groupBy(
    explained.filter(({ existing }) => existing !== undefined),
    ({ existing }) => existing,
  );
  return [...byPolicy].map(
    ([name, probes]) =>
      `existing policy ${name} allows ${plural(probes.length, "of the probes", "of the probes")} beside the rules: what is written does not close them`,
  );
}

function manyLines(policies: readonly PlannedPolicy[]): string[] {
  return policies.flatMap(({ file, rules }) =>
    rules.flatMap(({ rule, many }) => {
      if (many === undefined) return [];
      const wider = many.wider.map(({ bits, count }) => `${grouped(count)} with ${bits}`).join(", ");
      return [
        `${file} ${rule.ref.path} lists ${grouped(many.count)} of them${wider === "" ? "" : `; --cidr-max-widen BITS joins them: ${wider}`}`,
      ];
    }),
  );
}

function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  return [...leftOut]
    .sort((a, b) => b.evidence.connections - a.evidence.connections)
    .map((each) => {
      const { evidence, sources, destinations, reason } = each;
      const ends = `${few(sources)} to ${few(destinations)}`;
      const scan = reason === "refused" && evidence.connections >= SCAN && destinations.size <= 3 ? " (a scan?)" : "";
      const span = spanText(evidence);
      return `${plural(evidence.connections, "connection")} from ${ends}: ${leftOutText(each)}${scan}${span === undefined ? "" : `, ${span}`}`;
    });
}

/** So many refused connections from one source look like a scan. */
const SCAN = 20;

function few(texts: ReadonlySet<string>): string {
  const sorted = [...texts].sort();
  return sorted.length <= 2 ? sorted.join(", ") : `${sorted[0]} and ${sorted.length - 1} more`;
}
