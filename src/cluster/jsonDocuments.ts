import type { Fail, Place, TextDocument } from "./place.ts";
import { MAX_DEPTH } from "./place.ts";

/** Thrown inside this file only: the text is not JSON, at an offset. */
interface JsonFault {
  readonly message: string;
  readonly offset: number;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
const BAD_STRING = /[\u0000-\u001f]/;
const BAD_ESCAPE = /\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/;

/** Reports whether a text opens as JSON objects do. YAML flow mappings do too: only reading it tells. */
export function opensAsJson(text: string): boolean {
  return text.charCodeAt(skipSpace(text, 0)) === 0x7b;
}

/**
 * Returns the documents of a JSON text: one value, or several one after the other as jq prints them; undefined with the
 * first fault where the text is not JSON. Duplicate keys and deep nesting are refused through `fail`: the API server's
 * strict decoder refuses them (Kubernetes API: fieldValidation=Strict), and JSON.parse would take the last value silently.
 */
export function readJsonDocuments(text: string, fail: Fail): TextDocument[] | { fault: JsonFault } {
  const documents: TextDocument[] = [];
  let start = skipSpace(text, 0);
  const sole = soundValue(text);
  if (sole !== undefined) {
    const at = start;
    return [{ value: sole, place: () => jsonPlace(text, at, at) }];
  }
  try {
    while (start < text.length) {
      const end = checkValue(text, start, 0, fail);
      const at = start;
      documents.push({ value: JSON.parse(text.slice(start, end)), place: () => jsonPlace(text, at, at) });
      start = skipSpace(text, end);
    }
  } catch (error) {
    if (error instanceof Error) throw error;
    return { fault: error as JsonFault };
  }
  return documents;
}

/**
 * Returns the value of a text that is one JSON value without duplicate keys or deep nesting; undefined where anything is wrong, which
 * the slow way names. JSON.parse drops duplicates: fewer keys and strings come out of it than stand in the text.
 */
function soundValue(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return 2 * countTexts(value, 0) === countQuotes(text) ? value : undefined;
}

/** Returns how many keys and strings a value holds; NaN where it is nested too deep. */
function countTexts(value: unknown, depth: number): number {
  if (typeof value === "string") return 1;
  if (typeof value !== "object" || value === null) return 0;
  if (depth >= MAX_DEPTH) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) count += countTexts(value[i], depth + 1);
  else for (const key in value) count += 1 + countTexts((value as Record<string, unknown>)[key], depth + 1);
  return count;
}

/** Returns how many quotes that open or close a string are in a text that is known to be JSON. */
function countQuotes(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) count++;
  }
  return count;
}

function skipSpace(text: string, from: number): number {
  let index = from;
  for (;;) {
    const code = text.charCodeAt(index);
    if (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) index++;
    else return index;
  }
}

function fault(text: string, offset: number, expected: string): JsonFault {
  const found = offset < text.length ? `\`${text[offset]}\`` : "the end of the text";
  return { message: `expected ${expected}, found ${found}`, offset };
}

/** Returns the offset behind the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) throw { message: "a string is not closed", offset: start } satisfies JsonFault;
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
}

function checkString(text: string, start: number): number {
  if (text.charCodeAt(start) !== 0x22) throw fault(text, start, "a string");
  const end = stringEnd(text, start);
  const raw = text.slice(start + 1, end - 1);
  if (BAD_STRING.test(raw)) throw { message: "a string holds a line break or control character", offset: start } satisfies JsonFault;
  if (raw.includes("\\") && BAD_ESCAPE.test(raw.replaceAll("\\\\", "  "))) {
    throw { message: "a string holds an unknown escape", offset: start } satisfies JsonFault;
  }
  return end;
}

function stringValue(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end - 1);
  return raw.includes("\\") ? JSON.parse(text.slice(start, end)) : raw;
}

/** Returns the offset behind the value at `start`; throws a JsonFault where it is not JSON. */
function checkValue(text: string, start: number, depth: number, fail: Fail): number {
  switch (text.charCodeAt(start)) {
    case 0x7b:
    case 0x5b:
      return checkCollection(text, start, depth, fail);
    case 0x22:
      return checkString(text, start);
    case 0x74:
    case 0x66:
    case 0x6e: {
      const word = ["true", "false", "null"].find((each) => text.startsWith(each, start));
      if (word === undefined) throw fault(text, start, "a value");
      return start + word.length;
    }
    default:
      NUMBER.lastIndex = start;
      if (!NUMBER.test(text)) throw fault(text, start, "a value");
      return NUMBER.lastIndex;
  }
}

function checkCollection(text: string, start: number, depth: number, fail: Fail): number {
  if (depth >= MAX_DEPTH) fail(`nested deeper than ${MAX_DEPTH} levels`, start);
  const isObject = text.charCodeAt(start) === 0x7b;
  const close = isObject ? 0x7d : 0x5d;
  const seen = isObject ? new Set<string>() : undefined;
  let index = skipSpace(text, start + 1);
  if (text.charCodeAt(index) === close) return index + 1;
  for (;;) {
    if (seen) {
      const end = checkString(text, index);
      const key = stringValue(text, index, end);
      if (seen.has(key)) fail(`duplicate key \`${key}\``, index);
      seen.add(key);
      index = skipSpace(text, end);
      if (text.charCodeAt(index) !== 0x3a) throw fault(text, index, "`:`");
      index = skipSpace(text, index + 1);
    }
    index = skipSpace(text, checkValue(text, index, depth + 1, fail));
    const code = text.charCodeAt(index);
    if (code === close) return index + 1;
    if (code !== 0x2c) throw fault(text, index, isObject ? "`,` or `}`" : "`,` or `]`");
    index = skipSpace(text, index + 1);
  }
}

/** Returns the offset behind the value at `start` of a text that is known to be JSON. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  for (let index = start; ; ) {
    const code = text.charCodeAt(index);
    if (code === 0x22) index = stringEnd(text, index);
    else index++;
    if (code === 0x7b || code === 0x5b) depth++;
    else if (code === 0x7d || code === 0x5d) depth--;
    else if (depth === 0 && code !== 0x22) {
      while (index < text.length && /[^\s,\]}]/.test(text[index])) index++;
    }
    if (depth === 0) return index;
  }
}

/** Returns the place of a value of a text that is known to be JSON; its children are looked for when first asked for. */
function jsonPlace(text: string, at: number, start: number): Place {
  let entries: Map<string, Place> | undefined;
  let items: Place[] | undefined;
  function look(): void {
    entries = new Map();
    items = [];
    const isObject = text.charCodeAt(start) === 0x7b;
    if (!isObject && text.charCodeAt(start) !== 0x5b) return;
    let index = skipSpace(text, start + 1);
    while (text.charCodeAt(index) !== (isObject ? 0x7d : 0x5d)) {
      const childAt = index;
      let key = "";
      if (isObject) {
        const end = stringEnd(text, index);
        key = stringValue(text, index, end);
        index = skipSpace(text, skipSpace(text, end) + 1);
      }
      const child = jsonPlace(text, childAt, index);
      if (isObject) entries.set(key, child);
      else items.push(child);
      index = skipSpace(text, valueEnd(text, index));
      if (text.charCodeAt(index) === 0x2c) index = skipSpace(text, index + 1);
    }
  }
  return {
    at,
    entry(key) {
      if (!entries) look();
      return entries?.get(key);
    },
    item(index) {
      if (!items) look();
      return items?.[index];
    },
  };
}
