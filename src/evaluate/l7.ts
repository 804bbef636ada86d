import type { Truth } from "../cluster/selector.ts";
import type { L7Hint } from "../flow/hints.ts";
import type { L7Match, TextMatch } from "../policy/model.ts";
import { compileRegex } from "../policy/regex.ts";
import type { Decision, L7Condition } from "./decision.ts";
import { everyTruth, someTruth } from "./truth.ts";

/** What was seen of one of a connection's requests; empty: one of which nothing was seen. */
export type Request = Pick<L7Hint, "http" | "dns">;

/**
 * Returns the decision on a side whose rules want to see the request: allowed where every request that was seen matches one of them,
 * denied where one certainly matches none, and as it was without any.
 */
export function decideByRequests(decision: Decision, requests: readonly Request[]): Decision {
  const { l7 } = decision;
  if (l7 === undefined) return decision;
  const truths = requests.length === 0 ? [requestTruth(l7, {})] : requests.map((request) => requestTruth(l7, request));
  if (truths.includes(false)) return l7.deny;
  return truths.every((truth) => truth === true) ? l7.allow : decision;
}

function requestTruth({ alternatives }: L7Condition, request: Request): Truth {
  return someTruth(alternatives, ({ match }) => matchTruth(match, request));
}

/** Whether a request is what a rule wants. "unknown": what it looks at was not seen. */
export function matchTruth(match: L7Match, { http, dns }: Request): Truth {
  switch (match.kind) {
    case "http": {
      const { method, path, host, headers = [] } = match;
      if (method === undefined && path === undefined && host === undefined && headers.length === 0) return true;
      if (http === undefined) return "unknown";
      const truths = [textTruth(method, http.method), textTruth(path, http.path), textTruth(host, http.host)];
      truths.push(...headers.map(({ name, value }) => headerTruth(name, value, http.headers)));
      return everyTruth(truths, (truth) => truth);
    }
    case "dns": {
      const test = compileRegex(match.names.regex);
      if (match.names.text === "*") return true;
      return dns === undefined ? "unknown" : test(dns.query.toLowerCase().replace(/\.$/, ""));
    }
    case "opaque":
      return "unknown";
  }
}

/** Names of headers know no case (RFC 9110, 5.1); without a value it is enough that one is there. */
function headerTruth(name: string, value: string | undefined, headers: Readonly<Record<string, string>> | undefined): Truth {
  if (headers === undefined) return "unknown";
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found !== undefined && (value === undefined || found[1] === value);
}

function textTruth(match: TextMatch | undefined, text: string | undefined): Truth {
  if (match === undefined) return true;
  if (text === undefined) return "unknown";
  if ("regex" in match) return compileRegex(match.regex)(text);
  return "exact" in match ? text === match.exact : text.startsWith(match.prefix);
}
