import type { DiffResult } from "./diffResult.ts";
import { lines, yamlList } from "./jsonList.ts";
import { pairsJson } from "./linkJson.ts";
import type { LinkTable } from "./linkTable.ts";
import { outcomeText } from "./outcomeText.ts";
import { safeYaml } from "./safeYaml.ts";
import { safeJson } from "./text.ts";

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

/** Yields the report as one JSON object, a pair of ends a line. `connections`: the observed ones whose verdict changes, as JSON. */
export function* diffJson(result: DiffResult, connections: Iterable<string>): Generator<string> {
  yield `${safeJson(headOf(result), 2).slice(0, -2)},\n  "connectivity": [`;
  yield* lines(pairTexts(result.links));
  yield `],\n  "connections": [`;
  yield* lines(connections);
  yield "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* diffYaml(result: DiffResult, connections: Iterable<string>): Generator<string> {
  yield safeYaml(headOf(result));
  yield* yamlList("connectivity", pairTexts(result.links));
  yield* yamlList("connections", connections);
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
