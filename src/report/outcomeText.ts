import type { PortVerdicts } from "../evaluate/portVerdicts.ts";
import type { L7Match, TextMatch } from "../policy/model.ts";
import { listed } from "./text.ts";

/** What an undecided outcome hangs on, for people: "only GET /orders", "unknown: …"; undefined for one that is decided. */
export function outcomeText(verdicts: PortVerdicts, outcome: number): string | undefined {
  const { verdict, requests, reason } = verdicts.meaningOf(outcome);
  if (verdict !== "unknown") return undefined;
  if (requests !== undefined) return `only ${listed(requests.map(requestText))}`;
  return UNKNOWN[reason ?? ""] ?? `unknown: ${reason}`;
}

const UNKNOWN: Readonly<Record<string, string>> = {
  "unknown-labels": "unknown: labels of a namespace or service account are not known",
  "unknown-endpoint": "unknown: an address, or which node a pod is on, is not known",
  "unknown-port-name": "unknown: what a port's name means is not known",
  "no-l7-data": "by request: both sides, or several filters, look at it",
};

/** Returns a condition on a request as people write requests. */
export function requestText(match: L7Match): string {
  switch (match.kind) {
    case "http": {
      const { method, path, host, headers = [] } = match;
      const parts = [textOf(method) ?? "any method", textOf(path) ?? "", host === undefined ? "" : `host ${textOf(host)}`];
      parts.push(...headers.map(({ name, value }) => (value === undefined ? `with ${name}` : `with ${name}: ${value}`)));
      return parts.filter((part) => part !== "").join(" ");
    }
    case "dns":
      return `DNS ${match.names.text}`;
    case "opaque":
      return match.text;
  }
}

function textOf(match: TextMatch | undefined): string | undefined {
  if (match === undefined) return undefined;
  return "regex" in match ? match.regex : "exact" in match ? match.exact : `${match.prefix}*`;
}
