import { lines, yamlList } from "./jsonList.ts";
import { pairsJson } from "./linkJson.ts";
import type { LinkGroup, LinkPair, LinkTable } from "./linkTable.ts";
import { markdownTable, markdownText } from "./markdown.ts";
import { exposuresOf, type MatrixResult } from "./matrixResult.ts";
import { matrixHeader, matrixLines } from "./matrixTable.ts";
import { outcomeText } from "./outcomeText.ts";
import { safeYaml } from "./safeYaml.ts";
import { endText, type ShownEnd } from "./shownEnds.ts";
import { printable, safeJson } from "./text.ts";

function headOf(result: MatrixResult): Record<string, unknown> {
  const { links, policies, cni, warnings, focus } = result;
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "MatrixReport",
    summary: { workloads: links.names.workloads, policies: policies.length, pairs: links.size, ...(focus === undefined ? {} : { focus }) },
    cni,
    warnings,
    exposure: exposuresOf(result).map(({ end, to, ports }) => ({ destination: end, to, ports })),
  };
}

/** Yields the report as one JSON object, a pair of ends a line. */
export function* matrixJson(result: MatrixResult): Generator<string> {
  yield `${safeJson(headOf(result), 2).slice(0, -2)},\n  "connectivity": [`;
  yield* lines(pairTexts(result));
  yield "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* matrixYaml(result: MatrixResult): Generator<string> {
  yield safeYaml(headOf(result));
  yield* yamlList("connectivity", pairTexts(result));
}

function pairTexts({ links }: MatrixResult): Generator<string> {
  const { verdicts } = links.connectivity;
  return pairsJson(links, ({ group }) => {
    const [outcome] = group.ports.outcomes;
    const condition = outcomeText(verdicts, outcome);
    return `,"verdict":"${verdicts.meaningOf(outcome).verdict}"${condition === undefined ? "" : `,"if":${safeJson(condition)}`}`;
  });
}

const CSV_BATCH = 256;

/** Yields a table of comma-separated values (RFC 4180), a pair of ends and a protocol a line. */
export function* matrixCsv({ links }: MatrixResult): Generator<string> {
  const { verdicts } = links.connectivity;
  const ends = links.ends.map((end) => csvField(wholeText(end)));
  let batch = ["source,destination,family,protocol,ports,verdict,condition\r\n"];
  for (const { source, destination, group } of links.pairs()) {
    const [outcome] = group.ports.outcomes;
    const rest = `${verdicts.meaningOf(outcome).verdict},${csvField(outcomeText(verdicts, outcome) ?? "")}`;
    const family = familyText(links, group);
    for (const { protocol, ports, sourcePorts } of group.ports.ports) {
      const numbers = `${ports ?? ""}${sourcePorts === undefined ? "" : ` from ${sourcePorts}`}`;
      batch.push(`${ends[source]},${ends[destination]},${family},${protocol},${csvField(numbers)},${rest}\r\n`);
    }
    if (batch.length < CSV_BATCH) continue;
    yield batch.join("");
    batch = [];
  }
  yield batch.join("");
}

/** Names everything that an end is: programs read it. */
function wholeText(end: ShownEnd): string {
  return endText(end, 2, Number.POSITIVE_INFINITY);
}

/** Returns `IPv4` or `IPv6` where a group holds between addresses of that family alone, and there are others. */
function familyText({ connectivity }: LinkTable, { link }: LinkGroup): string {
  return connectivity.families.length > 1 && link.family !== 0 ? `IPv${link.family}` : "";
}

/** Quotes a field where it must be; one that a spreadsheet would calculate is made text. */
function csvField(text: string): string {
  const safe = printable(text);
  const plain = /^[=+\-@]/.test(safe) ? `'${safe}` : safe;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/**
 * Yields a graph in the language of Graphviz: a cluster of nodes a namespace, an edge a pair of ends; who reaches all is one node. What
 * the plugin lets through whatever policies say is left out.
 */
export function* matrixDot({ links }: MatrixResult): Generator<string> {
  yield 'digraph connectivity {\n  rankdir=LR;\n  node [shape=box, fontname="sans-serif"];\n  edge [fontname="sans-serif", fontsize=10];\n';
  const byNamespace = Map.groupBy(
    links.ends.map((end, i) => ({ end, i })),
    ({ end }) => (end.type === "pod" ? end.namespace! : ""),
  );
  let cluster = 0;
  for (const [namespace, ends] of byNamespace) {
    const nodes = ends.map(({ end, i }) => `n${i} [label=${dotText(nodeLabel(end))}${end.type === "external" ? ", shape=ellipse" : ""}];`);
    if (namespace === "") yield nodes.map((node) => `  ${node}\n`).join("");
    else yield `  subgraph cluster_${cluster++} {\n    label=${dotText(namespace)};\n${nodes.map((node) => `    ${node}\n`).join("")}  }\n`;
  }
  const edges = Map.groupBy(links.pairs(), ({ source, destination }: LinkPair) => source * links.ends.length + destination);
  for (const pairs of edges.values()) {
    const [{ source, destination }] = pairs;
    const told = pairs.filter(({ group }) => group.ports.text !== "");
    if (told.length === 0) continue;
    const label = told.map(({ group }) => edgeText(links, group)).join(", ");
    const isOpen = told.some(({ group }) => links.connectivity.verdicts.meaningOf(group.ports.outcomes[0]).verdict === "unknown");
    yield `  n${source} -> n${destination} [label=${dotText(label)}${isOpen ? ", style=dashed" : ""}];\n`;
  }
  yield "}\n";
}

function edgeText(links: LinkTable, group: LinkGroup): string {
  const family = familyText(links, group);
  return family === "" ? group.ports.text : `${group.ports.text} (${family})`;
}

function nodeLabel(end: ShownEnd): string {
  const text = wholeText(end);
  return end.type === "pod" ? text.slice(end.namespace!.length + 1) : text;
}

function dotText(text: string): string {
  return `"${printable(text).replace(/["\\]/g, "\\$&")}"`;
}

/** Ends that a row names. */
const NAMED = 4;

/** Returns the report for a wiki or a pull-request comment. */
export function matrixMarkdown(result: MatrixResult): string {
  const rows = matrixLines(result, NAMED);
  const hasConditions = rows.some(({ condition }) => condition !== "");
  const columns = ["From", "To", "Ports", ...(hasConditions ? ["Which"] : [])];
  const text = ["## Network policy connectivity", "", markdownText(matrixHeader(result)).replaceAll("\n", "  \n"), ""];
  text.push(
    ...markdownTable(
      columns,
      rows.map(({ from, to, ports, condition }) => [from, to, ports, ...(hasConditions ? [condition] : [])]),
      "lines",
    ),
  );
  const exposures = exposuresOf(result);
  if (exposures.length > 0)
    text.push(
      "### Exposed",
      "",
      ...markdownTable(
        ["Workload", "To", "Ports"],
        exposures.map(({ end, to, text: ports }) => [endText(end), to === "outside" ? "outside" : "every pod", ports]),
        "workloads",
      ),
    );
  for (const warning of result.warnings) text.push(`> ${markdownText(warning)}`, "");
  return `${text.join("\n").trimEnd()}\n`;
}
