import { safeYaml } from "./safeYaml.ts";

/** Entries put into one piece: a million must not be a million writes, nor one string. */
const BATCH = 256;

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
