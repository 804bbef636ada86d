import { ConnectionWriter } from "./connectionJson.ts";
import { safeYaml } from "./safeYaml.ts";
import type { SimulationResult } from "./simulationResult.ts";
import { safeJson } from "./text.ts";
import { TextBytes } from "./textBytes.ts";

const API_VERSION = "kguardian.dev/v1alpha1";
const KIND = "SimulationReport";
const FIRST_SEPARATOR = Buffer.from("\n    ");
const SEPARATOR = Buffer.from(",\n    ");
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

/** Yields the report as one JSON object, a connection a line. */
export function* simulationJson(result: SimulationResult): Generator<string | Uint8Array> {
  const head = safeJson(headOf(result), 2);
  yield `${head.slice(0, -2)},\n  "connections": [`;
  const writer = new ConnectionWriter(result);
  const text = new TextBytes();
  let separator = FIRST_SEPARATOR;
  for (const i of result.order) {
    text.addBytes(separator);
    writer.write(i, text);
    separator = SEPARATOR;
    if (text.isFull) yield text.take();
  }
  yield text.take();
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
  const text = new TextBytes();
  for (let at = 0; at < result.order.length; at += BATCH) {
    const batch = result.order.slice(at, at + BATCH).map((i): unknown => {
      writer.write(i, text);
      return JSON.parse(text.take().toString());
    });
    yield safeYaml(batch);
  }
}
