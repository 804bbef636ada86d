import { protocolName } from "../net/protocol.ts";
import type { AskedConnection } from "../synth/probe.ts";
import { lines, yamlList } from "./jsonList.ts";
import { type MutationResult, mutationCounts } from "./mutationResult.ts";
import { exampleText } from "./mutationTable.ts";
import { endObject, mutationObject } from "./probeJson.ts";
import { safeYaml } from "./safeYaml.ts";
import { safeJson } from "./text.ts";

/** Yields the report as one JSON object, a mutation a line. */
export function* mutationJson(result: MutationResult): Generator<string> {
  yield `${safeJson(headOf(result), 2).slice(0, -2)},\n  "mutations": [`;
  yield* lines(mutationTexts(result));
  yield "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* mutationYaml(result: MutationResult): Generator<string> {
  yield safeYaml(headOf(result));
  yield* yamlList("mutations", mutationTexts(result));
}

function headOf(result: MutationResult): Record<string, unknown> {
  const { summary, cni } = result.simulation;
  const { inputs } = result.simulation;
  return {
    apiVersion: "kguardian.dev/v1alpha1",
    kind: "MutationReport",
    summary: { ...mutationCounts(result), connections: summary.connections, window: summary.window, confidence: summary.confidence },
    cni,
    inputs,
    warnings: result.warnings,
  };
}

function* mutationTexts({ mutating: { mutations, fates, differences }, simulation: { simulation } }: MutationResult): Generator<string> {
  for (const [m, mutation] of mutations.entries()) {
    const fate = fates[m];
    const example = differences.get(m)?.example;
    yield safeJson({
      ...mutationObject(mutation),
      fate: fate.kind,
      ...(fate.kind === "noticed"
        ? {
            noticedBy: {
              source: simulation.source(fate.by),
              destination: simulation.destination(fate.by),
              protocol: protocolName(simulation.connections.protocol(fate.by)),
              port: simulation.ports[fate.by],
            },
          }
        : {}),
      ...(fate.kind === "missed" ? { shownBy: example === undefined ? null : exampleObject(example) } : {}),
    });
  }
}

function exampleObject(example: AskedConnection): Record<string, unknown> {
  const { source, destination, protocol, port, requests } = example;
  return {
    source: endObject(source),
    destination: endObject(destination),
    protocol: protocolName(protocol),
    port,
    ...(requests.length === 0 ? {} : { l7: requests[0] }),
    text: exampleText(example),
  };
}
