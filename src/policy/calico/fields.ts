import { parseAddress } from "../../net/address.ts";
import { formatPrefix, makePrefix, type Prefix, parsePrefix } from "../../net/prefix.ts";
import type { Expression } from "../model.ts";
import { type Fields, instead, type ObjectReader, type Path, pathText, quote } from "../objectReader.ts";
import { type SelectorField, translateSelector } from "./expression.ts";
import { parseSelector } from "./selector.ts";

/*
 * How fields of Calico's kinds are read: what the published CRDs' schemas refuse and what libcalico-go's validator refuses
 * (libcalico-go lib/validator/v3) is refused alike, since each guards another way into a cluster.
 */

const MAX_SELECTOR = 1024;

/** Returns a mapping; a field that the CRD does not know is dropped by the API server, so that only a warning tells. */
export function readFields(reader: ObjectReader, value: unknown, path: Path, known: readonly string[]): Fields | undefined {
  const fields = reader.mapping(value, path);
  for (const key of Object.keys(fields ?? {})) {
    if (known.includes(key)) continue;
    const hint = instead(key, known);
    reader.warning([...path, key], `unknown field ${quote(pathText([...path, key]))} is dropped by Calico and does nothing${hint}`);
  }
  return fields;
}

/** Returns a list of at most `most` items. */
export function readItems(reader: ObjectReader, value: unknown, path: Path, most: number): readonly unknown[] {
  const items = reader.list(value, path) ?? [];
  if (items.length > most) reader.error(path, `at most ${most} items may be listed, found ${items.length}`);
  return items;
}

/** Warns of texts that are written twice: the API server refuses them in a list that is a set. */
export function warnOfRepeated(reader: ObjectReader, items: readonly unknown[], path: Path): void {
  items.forEach((item, index) => {
    if (typeof item === "string" && items.indexOf(item) < index) reader.warning([...path, index], `${quote(item)} is written twice`);
  });
}

export function readFlag(reader: ObjectReader, value: unknown, path: Path): boolean {
  if (typeof value === "boolean") return value;
  if ((value ?? null) !== null) reader.error(path, `expected true or false, found ${quote(value)}`);
  return false;
}

/** Returns a number, with a fraction or without; undefined when absent or refused. */
export function readOrder(reader: ObjectReader, value: unknown, path: Path): number | undefined {
  if ((value ?? null) === null) return undefined;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  reader.error(path, `expected a number, found ${quote(value)}${typeof value === "string" ? ": write it without quotes" : ""}`);
  return undefined;
}

/** Returns one of a few words, exactly as they are written; undefined when absent or refused. */
export function readWord<T extends string>(reader: ObjectReader, value: unknown, path: Path, words: readonly T[]): T | undefined {
  const text = reader.text(value, path);
  const word = words.find((each) => each === text);
  if (text === undefined || word !== undefined) return word;
  reader.error(path, `${quote(text)} is not known here${instead(text, words, `one of ${words.join(", ")}`)}`);
  return undefined;
}

/** How a selector field is read. */
export interface SelectorRules {
  readonly field: SelectorField;
  /** Whether `global()` may stand there: alone, among other things (then it selects everything), or not at all. */
  readonly global: "alone" | "anywhere" | "never";
  /** Whether the CRD bounds its length. */
  readonly isBounded: boolean;
}

/** Returns what a selector says; undefined when it is absent, empty or refused. */
export function readSelector(reader: ObjectReader, value: unknown, path: Path, rules: SelectorRules): Expression | undefined {
  const text = reader.text(value, path);
  if (text === undefined || text === "") return undefined;
  if (rules.isBounded && [...text].length > MAX_SELECTOR) {
    reader.error(path, `the selector is longer than ${MAX_SELECTOR} characters`);
    return undefined;
  }
  const read = parseSelector(text);
  if ("error" in read) {
    reader.error(path, `${quote(text)} is no selector: ${read.error} at its character ${read.offset + 1}`);
    return undefined;
  }
  if (text.includes("global(")) {
    if (rules.global === "never") reader.error(path, "`global()` may stand in the `namespaceSelector` of a rule only");
    const isAlone = /^[ \t]*global\([ \t]*\)[ \t]*$/.test(text);
    if (rules.global === "alone" && !isAlone) reader.error(path, "`global()` cannot be combined with anything else");
  }
  return translateSelector(read.expression, rules.field);
}

/** Returns an address block; `mode` tells how strictly it is read. The prefix has no host bits. */
export function readNet(reader: ObjectReader, value: unknown, path: Path, mode: "rule" | "set"): Prefix | undefined {
  const text = reader.text(value ?? "", path);
  if (text === undefined) return undefined;
  const isAddress = !text.includes("/");
  const whole = text.includes(":") ? 128 : 32;
  const read =
    text.includes("%") || (isAddress && parseAddress(text) === undefined) ? undefined : parsePrefix(isAddress ? `${text}/${whole}` : text);
  if (!read) {
    reader.error(path, `${quote(text)} is no address block, such as \`10.0.0.0/8\` or \`fd00::/8\``);
    return undefined;
  }
  if (mode === "rule" && isAddress) reader.error(path, `${quote(text)} is no address block, did you mean \`${text}/${whole}\``);
  // Go takes IPv4-mapped IPv6 for IPv4.
  const isMapped = read.family === 6 && read.first >> 32n === 0xffffn && read.length >= 96;
  const prefix = isMapped ? makePrefix(read.first, read.length - 96, 4) : makePrefix(read.first, read.length, read.family);
  if (mode === "rule" && read.hostBits) {
    reader.error(path, `${quote(text)} has bits set behind its length, did you mean ${quote(formatPrefix(prefix))}`);
  }
  return prefix;
}
