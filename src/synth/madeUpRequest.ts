import { matchTruth, type Request } from "../evaluate/l7.ts";
import type { L7Match, TextMatch } from "../policy/model.ts";
import { literalOf } from "../policy/regex.ts";

/** Returns a request that one of the alternatives holds; undefined where none could be made up. */
export function requestFor(alternatives: readonly L7Match[]): Request | undefined {
  for (const match of alternatives) {
    const request = madeUp(match);
    if (request !== undefined && matchTruth(match, request) === true) return request;
  }
  return undefined;
}

function madeUp(match: L7Match): Request | undefined {
  if (match.kind === "dns")
    return { dns: { query: (literalOf(match.names.regex) ?? match.names.text.replace(/\*+/g, "probe")).toLowerCase() } };
  if (match.kind !== "http") return undefined;
  const { method, path, host, headers = [] } = match;
  return {
    http: {
      method: textFor(method) ?? "GET",
      path: textFor(path) ?? "/",
      host: textFor(host) ?? "probe",
      headers: Object.fromEntries(headers.map(({ name, value }) => [name, value ?? "probe"])),
    },
  };
}

function textFor(match: TextMatch | undefined): string | undefined {
  if (match === undefined) return undefined;
  if ("regex" in match) return literalOf(match.regex) ?? match.regex.replace(/\.\*|\[[^\]]*\][*+]?|[\\^$]/g, "");
  return "exact" in match ? match.exact : match.prefix;
}

/** Returns a request of the same protocol that no rule should be for. */
export function oddRequest({ http }: Request): Request {
  return http === undefined
    ? { dns: { query: "kguardian-probe.invalid" } }
    : { http: { method: "PROBE", path: "/kguardian-probe/nobody-asked", headers: {} } };
}
