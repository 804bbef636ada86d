import type { LabelSelector, Requirement } from "../cluster/selector.ts";
import { labelKeyFault, labelValueFault } from "./names.ts";
import { instead, type ObjectReader, type Path, quote } from "./objectReader.ts";

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

/**
 * Returns a label selector (Kubernetes API: LabelSelector; checks as ValidateLabelSelector makes them), undefined when it
 * is absent. An empty one selects everything.
 */
export function readLabelSelector(reader: ObjectReader, value: unknown, path: Path): LabelSelector | undefined {
  const selector = reader.mapping(value, path, ["matchLabels", "matchExpressions"]);
  if (!selector) return undefined;
  const requirements: Requirement[] = [];
  const labelsPath = [...path, "matchLabels"];
  for (const [key, label] of Object.entries(reader.mapping(selector.matchLabels, labelsPath) ?? {})) {
    checkLabel(reader, key, label, [...labelsPath, key]);
    requirements.push({ key, operator: "In", values: [typeof label === "string" ? label : ""] });
  }
  const expressionsPath = [...path, "matchExpressions"];
  reader.list(selector.matchExpressions, expressionsPath)?.forEach((each, index) => {
    requirements.push(readRequirement(reader, each, [...expressionsPath, index]));
  });
  return { requirements };
}

/** Checks a key and value of a label; null is an empty value (JSON decoding in Go). */
export function checkLabel(reader: ObjectReader, key: string, value: unknown, path: Path): void {
  const keyFault = labelKeyFault(key);
  if (keyFault) reader.error(path, `${quote(key)} ${keyFault}`);
  const text = reader.text(value, path);
  const valueFault = text === undefined ? undefined : labelValueFault(text);
  if (valueFault) reader.error(path, `${quote(text)} ${valueFault}`);
}

function readRequirement(reader: ObjectReader, value: unknown, path: Path): Requirement {
  const fields = reader.mapping(value ?? {}, path, ["key", "operator", "values"]) ?? {};
  const key = reader.text(fields.key, [...path, "key"]) ?? "";
  const keyFault = fields.key === undefined || fields.key === null ? "a `key` is required" : labelKeyFault(key);
  if (keyFault && typeof (fields.key ?? "") === "string") {
    reader.error([...path, "key"], keyFault.startsWith("a ") ? keyFault : `${quote(key)} ${keyFault}`);
  }
  const valuesPath = [...path, "values"];
  const values = (reader.list(fields.values, valuesPath) ?? []).map((each, index) => {
    const text = reader.text(each, [...valuesPath, index]) ?? "";
    const fault = labelValueFault(text);
    if (fault) reader.error([...valuesPath, index], `${quote(text)} ${fault}`);
    return text;
  });
  const written = reader.text(fields.operator, [...path, "operator"]);
  const operator = OPERATORS.find((each) => each === written);
  if (operator === undefined) {
    if (typeof (fields.operator ?? "") === "string") reader.error([...path, "operator"], operatorFault(written));
    return { key, operator: "Exists", values: [] };
  }
  const takesValues = operator === "In" || operator === "NotIn";
  if (takesValues && values.length === 0) reader.error(valuesPath, `\`${operator}\` needs at least one value`);
  if (!takesValues && values.length > 0) reader.error(valuesPath, `\`${operator}\` takes no values`);
  return { key, operator, values };
}

function operatorFault(written: string | undefined): string {
  if (written === undefined) return `an \`operator\` is required: ${OPERATORS.join(", ")}`;
  return `${quote(written)} is no operator${instead(written, OPERATORS, `one of ${OPERATORS.join(", ")}`)}`;
}
