import { ConnectionWriter } from "./connectionJson.ts";
import { type DiffResult, verdictsOf } from "./diffResult.ts";
import type { LinkPair, LinkTable } from "./linkTable.ts";
import { outcomeText } from "./outcomeText.ts";
import { safeYaml } from "./safeYaml.ts";
import { safeJson } from "./text.ts";
import { TextBytes } from "./textBytes.ts";

/** Entries put into one piece: a million must not be a million writes, nor one string. */
const BATCH = 256;

function headOf({ policies, workloads, links, inputs, cni, warnings }: DiffResult): Record<string, unknown> {
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "DiffReport",
    cni,
    warnings,
    inputs,
    policies: policies.map(({ ref, change, diff }) => ({
      kind: ref.kind,
      ...(ref.namespace === undefined ? {} : { namespace: ref.namespace }),
      name: ref.name,
      change,
      text: diff.length === 0 ? "" : `${diff.join("\n")}\n`,
      ...(ref.file === undefined ? {} : { file: ref.file, line: ref.line }),
    })),
    ...(workloads.added.length + workloads.removed.length > 0 ? { workloads } : {}),
    equivalent: links.groups.length === 0,
  };
}

/** Yields the report as one JSON object, a pair of ends a line. */
export function* diffJson(result: DiffResult): Generator<string> {
  yield `${safeJson(headOf(result), 2).slice(0, -2)},\n  "connectivity": [`;
  yield* lines(pairTexts(result.links));
  yield `],\n  "connections": [`;
  yield* lines(connectionTexts(result));
  yield "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* diffYaml(result: DiffResult): Generator<string> {
  yield safeYaml(headOf(result));
  yield* yamlList("connectivity", pairTexts(result.links));
  yield* yamlList("connections", connectionTexts(result));
}

/** Yields texts as the items of a JSON list, each on its own line. */
export function* lines(texts: Iterable<string>): Generator<string> {
  let batch: string[] = [];
  let separator = "\n    ";
  for (const text of texts) {
    batch.push(separator + text);
    separator = ",\n    ";
    if (batch.length === BATCH) {
      yield batch.join("");
      batch = [];
    }
  }
  yield batch.join("");
  if (separator !== "\n    ") yield "\n  ";
}

/** Yields JSON texts as a field of a YAML document that is a list. */
export function* yamlList(field: string, texts: Iterable<string>): Generator<string> {
  let batch: unknown[] = [];
  let isEmpty = true;
  for (const text of texts) {
    if (isEmpty) yield `${field}:\n`;
    isEmpty = false;
    batch.push(JSON.parse(text));
    if (batch.length === BATCH) {
      yield safeYaml(batch);
      batch = [];
    }
  }
  if (batch.length > 0) yield safeYaml(batch);
  if (isEmpty) yield `${field}: []\n`;
}

/** Yields each pair of ends with each protocol's ports, as JSON. `verdictsOf` says what stands behind the ports. */
export function* pairsJson(links: LinkTable, verdictFields: (pair: LinkPair) => string): Generator<string> {
  const ends = links.ends.map((end) => safeJson(end));
  for (const pair of links.pairs()) {
    const verdicts = verdictFields(pair);
    const family =
      links.connectivity.families.length > 1 && pair.group.link.family !== 0 ? `,"ipFamily":"IPv${pair.group.link.family}"` : "";
    for (const { protocol, ports, sourcePorts } of pair.group.ports.ports) {
      const source = sourcePorts === undefined ? "" : `,"sourcePorts":"${sourcePorts}"`;
      yield `{"source":${ends[pair.source]},"destination":${ends[pair.destination]},"protocol":"${protocol}","ports":${safeJson(ports)}${source}${family}${verdicts}}`;
    }
  }
}

function pairTexts(links: LinkTable): Generator<string> {
  const known = new Map<string, string>();
  const { verdicts } = links.connectivity;
  return pairsJson(links, ({ group }) => {
    const key = group.ports.outcomes.join();
    let text = known.get(key);
    if (text === undefined) {
      const [before, after] = group.ports.outcomes;
      const [beforeIf, afterIf] = [outcomeText(verdicts, before), outcomeText(verdicts, after)];
      const fields = {
        before: verdicts.meaningOf(before).verdict,
        after: verdicts.meaningOf(after).verdict,
        ...(beforeIf === undefined ? {} : { beforeIf }),
        ...(afterIf === undefined ? {} : { afterIf }),
      };
      known.set(key, (text = `,${safeJson(fields).slice(1, -1)}`));
    }
    return text;
  });
}

function* connectionTexts({ traffic }: DiffResult): Generator<string> {
  if (traffic === undefined) return;
  const writer = new ConnectionWriter(traffic.result);
  const text = new TextBytes();
  for (const i of traffic.changed) {
    writer.write(i, text);
    const [before, after] = verdictsOf(traffic.result, i);
    yield `${text.take().toString().slice(0, -1)},"before":"${before}","after":"${after}"}`;
  }
}
