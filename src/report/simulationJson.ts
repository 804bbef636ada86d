import { ConnectionWriter } from "./connectionJson.ts";
import { safeYaml } from "./safeYaml.ts";
import type { SimulationResult } from "./simulationResult.ts";
import { safeJson } from "./text.ts";

const API_VERSION = "kguardian.dev/v1alpha1";
const KIND = "SimulationReport";
/** Connections put into one piece of YAML (some 100 KB): a million must not be a million writes, nor one string. */
const BATCH = 64;

function headOf(result: SimulationResult): Record<string, unknown> {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    summary: result.summary,
    cni: result.cni,
    warnings: result.warnings,
    inputs: result.inputs,
  };
}

/** Yields the report as one JSON object, a connection a line. Bytes are valid until the next ones are asked for. */
export function* simulationJson(result: SimulationResult): Generator<string | Uint8Array> {
  const head = safeJson(headOf(result), 2);
  yield `${head.slice(0, -2)},\n  "connections": [`;
  const writer = new ConnectionWriter(result);
  try {
    let separator = "\n    ";
    for (const i of result.order) {
      writer.add(separator);
      writer.write(i);
      separator = ",\n    ";
      if (writer.isFull) yield writer.take();
    }
    yield writer.take();
  } finally {
    writer.release();
  }
  yield result.order.length > 0 ? "\n  ]\n}\n" : "]\n}\n";
}

/** Yields the report as one YAML document. */
export function* simulationYaml(result: SimulationResult): Generator<string> {
  yield safeYaml(headOf(result));
  if (result.order.length === 0) {
    yield "connections: []\n";
    return;
  }
  yield "connections:\n";
  const writer = new ConnectionWriter(result);
  try {
    for (let at = 0; at < result.order.length; at += BATCH) {
      const batch = Array.from(result.order.subarray(at, at + BATCH), (i): unknown => {
        writer.write(i);
        return JSON.parse(writer.take().toString());
      });
      yield safeYaml(batch);
    }
  } finally {
    writer.release();
  }
}
