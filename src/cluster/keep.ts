import { isMapping } from "./manifest.ts";

/* What sanitize.ts says of each field: keep it as it is, in part, or not. */

/** An object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** Returns what is kept of a value; undefined: nothing, and its field goes too. */
export type Keep = (value: unknown) => unknown;

/**
 * Returns what stands for a value of a wrong type: an empty one of the type that it has. Readers refuse it for the same reason as they
 * would have refused the value, which may hold anything.
 */
export function standIn(value: unknown): unknown {
  if (Array.isArray(value)) return [];
  switch (typeof value) {
    case "string":
      return "";
    case "number":
      return 0;
    case "boolean":
      return false;
    case "object":
      return value === null ? undefined : {};
    default:
      return undefined;
  }
}

function leaf(...types: readonly ("string" | "number" | "boolean")[]): Keep {
  return (value) => (types.some((type) => typeof value === type) ? value : standIn(value));
}

export const text = leaf("string");
export const number = leaf("number");
export const flag = leaf("boolean");
export const textOrNumber = leaf("string", "number");

/** Keeps the named fields of a mapping; one of which nothing is left goes as a whole, as absent and empty ones are the same to readers. */
export function fields(shape: Readonly<Record<string, Keep>>): Keep {
  return (value) => {
    if (!isMapping(value)) return standIn(value);
    const kept = Object.entries(shape).flatMap(([key, keep]) => {
      const part = Object.hasOwn(value, key) ? keep(value[key]) : undefined;
      return part === undefined ? [] : [[key, part] as const];
    });
    return kept.length === 0 ? undefined : Object.fromEntries(kept);
  };
}

/** Keeps each item of a list in its place, since warnings name places. null among them makes readers refuse the list. */
export function list(keep: (value: unknown, index: number) => unknown): Keep {
  return (value) => {
    if (!Array.isArray(value)) return standIn(value);
    return value.length === 0 ? undefined : value.map((item, index) => (item === null ? null : (keep(item, index) ?? {})));
  };
}

/** The same of a list that says nothing where its items are empty. */
export function listOfParts(keep: (value: unknown, index: number) => unknown): Keep {
  return (value) => {
    const kept = list(keep)(value);
    const isEmpty = Array.isArray(kept) && kept.every((item) => isMapping(item) && Object.keys(item).length === 0);
    return isEmpty && kept.length > 0 ? undefined : kept;
  };
}

/** Keeps the items of a list of which something is left. */
export function someOf(keep: Keep): Keep {
  return (value) => {
    if (!Array.isArray(value)) return standIn(value);
    const kept = value.map(keep).filter((item) => item !== undefined);
    return kept.length === 0 ? undefined : kept;
  };
}

export const texts = list(text);

export const textMap: Keep = (value) => {
  if (!isMapping(value)) return standIn(value);
  const kept = Object.entries(value).map(([key, each]) => [key, each === null ? null : text(each)] as const);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
};
