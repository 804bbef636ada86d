import type { L7Hint } from "../flow/hints.ts";
import { namePattern } from "../policy/cilium/names.ts";
import type { L7Match } from "../policy/model.ts";

/** Paths that one method may have in a rule; beyond it they are joined below their common folder. */
const MOST_PATHS = 25;
/** DNS names that are listed; beyond it every name may be asked for. */
const MOST_NAMES = 50;

/** Parts of paths that stand for one of many things of a kind, with the expression (RE2) for them. */
const IDENTIFIERS: readonly (readonly [RegExp, string])[] = [
  [/^\d+$/, "[0-9]+"],
  [/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, "[0-9a-fA-F-]{36}"],
  [/^(?=.*\d)[0-9a-f]{12,}$/i, "[0-9a-fA-F]+"],
  [/^(?=.*\d)(?=.*[A-Z])[0-9A-HJKMNP-TV-Z]{26}$/, "[0-9A-Z]{26}"],
  // Words of small letters are names of things, however long.
  [/^(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[0-9A-Za-z_-]{20,}$/, "[0-9A-Za-z_-]+"],
];

/**
 * Returns the conditions that allow the HTTP requests that were seen: by method and path, with identifiers in paths generalized.
 * Expressions hold the whole path, as Envoy matches it: with the query, where one was seen.
 */
export function httpMatches(requests: readonly L7Hint[]): { readonly matches: L7Match[]; readonly remarks: string[] } {
  const paths = new Map<string, Set<string>>();
  for (const { http } of requests) {
    if (http === undefined) continue;
    const known = paths.get(http.method) ?? new Set();
    paths.set(http.method, known.add(pathPattern(http.path)));
  }
  const remarks: string[] = [];
  if (requests.some(({ http }) => http !== undefined && pathPattern(http.path) !== escapeRegex(http.path)))
    remarks.push("parts of paths that look like identifiers are generalized, and a query that was seen stands for any");
  const matches = [...paths].sort(byFirst).flatMap(([method, patterns]) => {
    const written = joined([...patterns].sort());
    if (patterns.size > MOST_PATHS && written.length < patterns.size)
      remarks.push(`${patterns.size} different paths of ${method} were seen: they are joined into ${written.length}, which allow more`);
    return written.map((regex): L7Match => ({ kind: "http", method: { regex: escapeRegex(method) }, path: { regex } }));
  });
  return { matches, remarks };
}

/** Returns the conditions that allow the DNS names that were asked for. */
export function dnsMatches(requests: readonly L7Hint[]): L7Match[] {
  const names = [...new Set(requests.flatMap(({ dns }) => (dns === undefined ? [] : [dns.query.toLowerCase().replace(/\.$/, "")])))].sort();
  const isPlain = names.every((name) => /^[-a-z0-9_.]{1,255}$/.test(name));
  const listed = names.length === 0 || names.length > MOST_NAMES || !isPlain ? ["*"] : names;
  return listed.map((name) => ({ kind: "dns", names: namePattern(name) }));
}

/** Returns the condition that any name may be asked for: what a rule on names of outside hosts needs to see their addresses. */
export function anyName(): L7Match[] {
  return [{ kind: "dns", names: namePattern("*") }];
}

/** Returns an expression for a path, segment by segment; gRPC's `/package.Service/Method` stays as it is. */
export function pathPattern(path: string): string {
  const [plain, ...query] = path.split("?");
  const segments = plain.split("/").map((segment) => IDENTIFIERS.find(([is]) => is.test(segment))?.[1] ?? escapeRegex(segment));
  return `${segments.join("/")}${query.length > 0 ? "(\\?.*)?" : ""}`;
}

/** Joins paths that only differ in having a query, and those of a folder where there are too many. */
function joined(patterns: readonly string[]): string[] {
  const known = new Set(patterns);
  const distinct = patterns.filter((pattern) => !known.has(`${pattern}(\\?.*)?`));
  if (distinct.length <= MOST_PATHS) return distinct;
  const byFolder = Map.groupBy(distinct, (pattern) => pattern.split("/").slice(0, 2).join("/"));
  const folders = [...byFolder].map(([folder, own]) => (own.length === 1 ? own[0] : `${folder.replace(/\(\\\?\.\*\)\?$/, "")}(/.*)?`));
  return folders.length <= MOST_PATHS ? folders : ["/.*"];
}

function escapeRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}

function byFirst([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
