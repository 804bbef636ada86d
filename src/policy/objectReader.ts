import type { ManifestObject } from "../cluster/manifest.ts";
import type { RuleRef } from "./model.ts";
import type { Problem } from "./problem.ts";

export type Path = readonly (string | number)[];
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads the fields of one object as the API server's strict decoder does (Kubernetes API: fieldValidation=Strict), and
 * collects what is wrong with their places. null is the same as absent everywhere (JSON decoding in Go).
 */
export interface ObjectReader {
  readonly problems: readonly Problem[];
  readonly hasErrors: () => boolean;
  error(path: Path, message: string): void;
  warning(path: Path, message: string): void;
  /** Returns a mapping with known fields only, undefined when absent or refused. Without `fields`, any are welcome. */
  mapping(value: unknown, path: Path, fields?: readonly string[]): Fields | undefined;
  list(value: unknown, path: Path): readonly unknown[] | undefined;
  text(value: unknown, path: Path): string | undefined;
  integer(value: unknown, path: Path): number | undefined;
  /** Returns the line that a path is written at. */
  lineOf(path: Path): number;
  /** Returns the name of a rule or of a part of one that is written at a path, which begins with `spec`. */
  refOf(path: Path): RuleRef;
}

export function readerOf(object: ManifestObject): ObjectReader {
  const problems: Problem[] = [];
  const add = (severity: Problem["severity"], path: Path, message: string): void => {
    problems.push({ severity, path: pathText(path), message: titled(object, message), file: object.file, ...object.positionOf(path) });
  };
  const error = (path: Path, message: string) => add("error", path, message);

  function expect<T>(value: unknown, path: Path, expected: string, accepts: (value: unknown) => boolean): T | undefined {
    if (value === null || value === undefined) return undefined;
    if (accepts(value)) return value as T;
    const hint = expected === "text" && (typeof value === "boolean" || typeof value === "number") ? ": write it in quotes" : "";
    error(path, `expected ${expected}, found ${describe(value)}${hint}`);
    return undefined;
  }

  return {
    problems,
    hasErrors: () => problems.some(({ severity }) => severity === "error"),
    error,
    warning: (path, message) => add("warning", path, message),
    mapping(value, path, fields) {
      const read = expect<Fields>(value, path, "a mapping", (each) => typeof each === "object" && !Array.isArray(each));
      for (const key of fields && read ? Object.keys(read) : []) {
        if (fields?.includes(key)) continue;
        error([...path, key], `unknown field "${short(pathText([...path, key]))}"${instead(key, fields ?? [])}`);
      }
      return read;
    },
    list: (value, path) => expect(value, path, "a list", Array.isArray),
    text: (value, path) => expect(value, path, "text", (each) => typeof each === "string"),
    integer: (value, path) => expect(value, path, "an integer", Number.isInteger),
    lineOf: (path) => object.positionOf(path).line,
    refOf: (path) => refAt(object, path),
  };
}

/** Names what is written at a path. Its line is looked up when it is asked for: that costs, and few rules are ever shown. */
function refAt(object: ManifestObject, at: Path): RuleRef {
  const path = pathText(at[0] === "spec" ? at.slice(1) : at);
  if (object.isServed) return { path };
  return {
    path,
    file: object.file,
    get line() {
      return object.positionOf(at).line;
    },
  };
}

/** Puts an object's name before a message where no file and line would tell which it is. */
export function titled(object: ManifestObject, message: string): string {
  if (!object.isServed) return message;
  const { kind, metadata } = object.value as { kind?: unknown; metadata?: { namespace?: unknown; name?: unknown } | null };
  const namespace = typeof metadata?.namespace === "string" ? `${metadata.namespace}/` : "";
  return `${kind} ${namespace}${metadata?.name}: ${message}`;
}

/** Returns a path as the API server writes it: `spec.ingress[0].from`, `metadata.labels[example.com/a]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "string" && /^\w+$/.test(step)) return text === "" ? step : `${text}.${step}`;
    return `${text}[${short(String(step))}]`;
  }, "");
}

/** Returns a value of the input between backticks, on one line and not too long. */
export function quote(value: unknown): string {
  return `\`${short(String(value))}\``;
}

function short(text: string): string {
  const line = text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ");
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return typeof value === "string" ? `the text ${quote(value)}` : `the ${typeof value} ${quote(value)}`;
}

/** Returns the end of a message on a word that is none of the candidates: the one it is like, else `otherwise`, which lists them. */
export function instead(word: string, candidates: readonly string[], otherwise?: string): string {
  const near = nearest(word, candidates);
  if (near !== undefined) return `, did you mean \`${near}\``;
  return otherwise === undefined ? "" : `: it is ${otherwise}`;
}

/** Returns the candidate that a word is most likely a misspelling of, if one is near enough. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(1, Math.floor(best.candidate.length / 4)) ? best.candidate : undefined;
}

/** Returns how many letters must be inserted, deleted, replaced or swapped with the next to turn one word into the other. */
function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1] ? before[j - 2] + 1 : replaced;
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, replaced, swapped));
    }
    before = row;
    row = next;
  }
  return row[to.length];
}
