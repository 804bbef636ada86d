import type { L7Match, TextMatch } from "../model.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { regexFault } from "../regex.ts";
import { readNamePatterns } from "./names.ts";

/** What the `rules` of a `toPorts` entry ask of requests. */
export interface RequestRules {
  /** Alternatives; undefined: whatever is said passes. */
  readonly l7?: readonly L7Match[];
  /** Whether `http` or `dns` is written at all, be it empty: Cilium then checks the ports for it. */
  readonly isPresent: boolean;
  readonly hasDnsRules: boolean;
  readonly hasHttpRules: boolean;
}

const NO_RULES: RequestRules = { isPresent: false, hasDnsRules: false, hasHttpRules: false };

/** Rules that Cilium knew until 1.19. */
const REMOVED = ["kafka", "l7", "l7proto"];

/** Returns the `rules` of a `toPorts` entry (Cilium pkg/policy/api L7Rules.Validate). An empty list asks nothing. */
export function readRequestRules(reader: ObjectReader, value: unknown, path: Path): RequestRules {
  const fields = reader.mapping(value, path, ["http", "dns", ...REMOVED]);
  if (!fields) return NO_RULES;
  const http = reader.list(fields.http, [...path, "http"]);
  const dns = reader.list(fields.dns, [...path, "dns"]);
  if (http && dns) reader.error([...path, "dns"], "`http` and `dns` cannot stand together: write two entries of `toPorts`");
  const names = (dns ?? []).flatMap((each, index) => readNamePatterns(reader, each, [...path, "dns", index]));
  const asked: L7Match[] = [
    ...(http ?? []).map((each, index) => readHttp(reader, each, [...path, "http", index])),
    ...names.map((each): L7Match => ({ kind: "dns", names: each })),
  ];
  const removed = REMOVED.filter((name) => (fields[name] ?? null) !== null);
  for (const name of removed) {
    reader.warning(
      [...path, name],
      "Cilium 1.20 no longer knows these rules and lets everything pass: verdicts that hang on them are unknown",
    );
  }
  const hasHttpRules = (http ?? []).length > 0;
  const hasDnsRules = (dns ?? []).length > 0;
  const isPresent = http !== undefined || dns !== undefined;
  if (hasHttpRules || hasDnsRules) return { l7: asked, isPresent, hasDnsRules, hasHttpRules };
  return { ...(removed.length > 0 ? { l7: [opaque({ rules: pick(fields, removed) })] } : {}), isPresent, hasDnsRules, hasHttpRules };
}

/** Returns the alternative of which nobody can tell here whether a request meets it; its text is what was written, as JSON. */
export function opaque(written: Fields): L7Match {
  return { kind: "opaque", text: JSON.stringify(written) };
}

/** Returns some of the fields, in the given order. */
export function pick(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(names.filter((name) => (fields[name] ?? null) !== null).map((name) => [name, fields[name]]));
}

interface Header {
  readonly name: string;
  readonly value?: string;
}

function readHttp(reader: ObjectReader, value: unknown, path: Path): L7Match {
  const fields = reader.mapping(value ?? {}, path, ["method", "path", "host", "headers", "headerMatches"]) ?? {};
  const expression = (name: string): string | undefined => reader.text(fields[name], [...path, name]) || undefined;
  const [method, urlPath, host] = ["method", "path", "host"].map(expression);
  for (const [name, regex] of Object.entries({ method, path: urlPath })) {
    const fault = regex === undefined ? undefined : regexFault(regex);
    if (fault) reader.error([...path, name], `${quote(regex)} is no RE2 expression: ${quote(fault)}`);
  }
  const headersPath = [...path, "headers"];
  const headers = (reader.list(fields.headers, headersPath) ?? []).map((each, index) =>
    parseHeader(reader.text(each, [...headersPath, index]) ?? ""),
  );
  const matches = readHeaderMatches(reader, fields.headerMatches, [...path, "headerMatches"]);
  const hostFault = host === undefined ? undefined : regexFault(host);
  if (hostFault) reader.warning([...path, "host"], `${quote(host)} is no RE2 expression: ${quote(hostFault)}`);
  // Whether such a rule is met is known to the proxy alone.
  if (hostFault || matches.hasSecret) return opaque({ rules: { http: [pick(fields, Object.keys(fields))] } });
  const all: readonly Header[] = [...headers, ...matches.headers];
  return {
    kind: "http",
    ...textMatch("method", method),
    ...textMatch("path", urlPath),
    ...textMatch("host", host),
    ...(all.length > 0 ? { headers: all } : {}),
  };
}

function textMatch<Name extends string>(name: Name, regex: string | undefined): Partial<Record<Name, TextMatch>> {
  return regex === undefined ? {} : ({ [name]: { regex } } as Record<Name, TextMatch>);
}

/** Returns the header that `Name: value` or `Name` asks for: Cilium parts them at the first space (pkg/envoy getHTTPRule). */
function parseHeader(text: string): Header {
  const space = text.indexOf(" ");
  return space < 0 ? { name: text } : { name: text.slice(0, space).replace(/:+$/, ""), value: text.slice(space + 1) };
}

/** Returns the headers that must match. With a `mismatch` action the request passes whatever it has. */
function readHeaderMatches(reader: ObjectReader, value: unknown, path: Path): { headers: readonly Header[]; hasSecret: boolean } {
  let hasSecret = false;
  const headers = (reader.list(value, path) ?? []).flatMap((each, index): Header[] => {
    const at = [...path, index];
    const fields = reader.mapping(each ?? {}, at, ["name", "value", "secret", "mismatch"]) ?? {};
    const name = reader.text(fields.name, [...at, "name"]) ?? "";
    if (name === "" && typeof (fields.name ?? "") === "string") reader.error([...at, "name"], "a header `name` is required");
    const text = reader.text(fields.value, [...at, "value"]) || undefined;
    const mismatch = reader.text(fields.mismatch, [...at, "mismatch"]) || undefined;
    if (mismatch !== undefined && !["LOG", "ADD", "DELETE", "REPLACE"].includes(mismatch)) {
      reader.error([...at, "mismatch"], `${quote(mismatch)} is no action on a mismatch: it is LOG, ADD, DELETE or REPLACE`);
    }
    const secret = reader.mapping(fields.secret, [...at, "secret"], ["namespace", "name"]);
    if (secret && (reader.text(secret.name, [...at, "secret", "name"]) ?? "") === "") {
      reader.error([...at, "secret", "name"], "a secret `name` is required");
    }
    if (mismatch !== undefined) return [];
    if (secret) {
      hasSecret = true;
      reader.warning([...at, "secret"], "the secret is not known here: verdicts that hang on this header are unknown");
    }
    return [{ name, ...(text === undefined ? {} : { value: text }) }];
  });
  return { headers, hasSecret };
}
