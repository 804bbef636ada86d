import type { NamePattern } from "../model.ts";
import { type ObjectReader, type Path, quote } from "../objectReader.ts";

const MOST_CHARACTERS = 255;
const CHARACTER = "[-a-z0-9_]";

/**
 * Returns what a toFQDNs entry or a DNS rule names: its `matchName`, its `matchPattern`, both (a DNS rule may have both) or
 * neither (Cilium pkg/policy/api FQDNSelector and PortRuleDNS).
 */
export function readNamePatterns(reader: ObjectReader, value: unknown, path: Path): readonly NamePattern[] {
  const fields = reader.mapping(value ?? {}, path, ["matchName", "matchPattern"]) ?? {};
  const name = reader.text(fields.matchName, [...path, "matchName"]) ?? "";
  const pattern = reader.text(fields.matchPattern, [...path, "matchPattern"]) ?? "";
  checkCharacters(reader, name, [...path, "matchName"], /^[-a-zA-Z0-9_.]*$/, "letters, digits, -, _ and dots");
  checkCharacters(reader, pattern, [...path, "matchPattern"], /^[-a-zA-Z0-9_.*]*$/, "letters, digits, -, _, dots and *");
  return [name, pattern].filter((text) => text !== "").map(namePattern);
}

function checkCharacters(reader: ObjectReader, text: string, path: Path, allowed: RegExp, what: string): void {
  if (!allowed.test(text)) reader.error(path, `${quote(text)} is no DNS name: it may hold ${what} only`);
  else if (text.length > MOST_CHARACTERS) reader.error(path, `the name is longer than ${MOST_CHARACTERS} characters`);
}

/**
 * Returns the pattern of a name that may hold wildcards: `*` stands for any characters of one label, also for none; `**.` in
 * front for one or more labels; a pattern of nothing but `*` for every name (Cilium pkg/fqdn/matchpattern).
 */
export function namePattern(text: string): NamePattern {
  const plain = text.toLowerCase().replace(/\.$/, "");
  const label = `${CHARACTER}+`;
  if (/^\*+$/.test(plain)) return { text, regex: `(?:${label}(?:\\.${label})*)?` };
  const depth = /^\*{2,}\./.exec(plain)?.[0].length ?? 0;
  const rest = plain.slice(depth).replaceAll(".", "\\.").replace(/\*+/g, `${CHARACTER}*`);
  return { text, regex: `${depth > 0 ? `${label}(?:\\.${label})*\\.` : ""}${rest}` };
}
