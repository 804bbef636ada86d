import { shortWorkload } from "../cluster/workloads.ts";
import type { Endpoint } from "../evaluate/endpoints.ts";
import { parseAddress } from "../net/address.ts";
import { parsePrefix, prefixContains } from "../net/prefix.ts";
import { protocolName, protocolNumber } from "../net/protocol.ts";
import { endpointLabel } from "./labels.ts";

/** A finding that people have accepted: it is shown, but does not count. Fields that are absent match everything. */
export interface AcceptedFinding {
  readonly source?: string;
  readonly destination?: string;
  /** `443`, `443/TCP`, `8000-8100`, `ICMP`. */
  readonly port?: string;
  readonly reason: string;
  /** Last day that it holds, `YYYY-MM-DD`, or an RFC 3339 time. */
  readonly until?: string;
}

/**
 * Returns a finding read from an ignore file's list item, or what is wrong with it. Endpoints are written as in tables
 * (`shop/deploy/web`), by pod (`shop/web-7d4b9-abcde`), address, prefix, DNS name or `external`; `*` stands for any text.
 */
export function readAcceptedFinding(value: unknown): AcceptedFinding | string {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return "is not a mapping of source, destination, port, reason and until";
  const finding: Record<string, string> = {};
  for (const [key, field] of Object.entries(value)) {
    if (!["source", "destination", "port", "reason", "until"].includes(key))
      return `has an unknown field \`${key}\` (known: source, destination, port, reason, until)`;
    if (field === null || field === undefined) continue;
    if (typeof field !== "string" && typeof field !== "number") return `has a \`${key}\` that is no text`;
    finding[key] = String(field);
  }
  if (finding.reason === undefined || finding.reason.trim() === "") return "has no `reason`: say why it is accepted";
  if (finding.source === undefined && finding.destination === undefined && finding.port === undefined)
    return "would accept every finding: give a source, destination or port";
  if (finding.until !== undefined && Number.isNaN(untilOf(finding.until)))
    return `has an \`until\` that is no date: \`${finding.until}\` (write YYYY-MM-DD)`;
  if (finding.port !== undefined && !isPortPattern(finding.port))
    return `has a \`port\` that is none: \`${finding.port}\` (write 443, 443/TCP or 8000-8100)`;
  return finding as unknown as AcceptedFinding;
}

const PORT_PATTERN = /^(?:(\d+)(?:-(\d+))?)?(?:(?:^|\/)([A-Za-z][A-Za-z0-9]*))?$/;

/** Reports whether a text is a port, a range of ports, either with a protocol, or a protocol alone. */
function isPortPattern(pattern: string): boolean {
  const [, first, last = first, name] = PORT_PATTERN.exec(pattern) ?? [];
  if (first === undefined && name === undefined) return false;
  if (name !== undefined && protocolNumber(name) === undefined) return false;
  return first === undefined || (Number(first) <= Number(last) && Number(last) <= 65535);
}

/** Epoch milliseconds at which a finding stops being accepted: the end of the day in UTC. */
function untilOf(until: string): number {
  return /^\d{4}-\d\d-\d\d$/.test(until) ? Date.parse(`${until}T00:00:00Z`) + 86_400_000 : Date.parse(until);
}

/** Reports whether an accepted finding holds no more. `now` in epoch milliseconds. */
export function hasEnded(finding: AcceptedFinding, now: number): boolean {
  return finding.until !== undefined && now >= untilOf(finding.until);
}

/** Reports whether an accepted finding covers a connection. `now` in epoch milliseconds. */
export function covers(
  finding: AcceptedFinding,
  source: Endpoint,
  destination: Endpoint,
  protocol: number,
  port: number,
  now: number,
): boolean {
  if (hasEnded(finding, now)) return false;
  return (
    matchesEndpoint(finding.source, source) &&
    matchesEndpoint(finding.destination, destination) &&
    matchesPort(finding.port, protocol, port)
  );
}

function matchesEndpoint(pattern: string | undefined, endpoint: Endpoint): boolean {
  if (pattern === undefined) return true;
  if (pattern === "external") return endpoint.type === "external";
  const prefix = pattern.includes("/") ? parsePrefix(pattern) : undefined;
  const address = parseAddress(endpoint.ip ?? "");
  if (prefix !== undefined && address !== undefined && endpoint.type !== "pod") return prefixContains(prefix, address);
  const texts = [endpointLabel(endpoint), ...(endpoint.ip === undefined ? [] : [endpoint.ip]), ...(endpoint.names ?? [])];
  if (endpoint.name !== undefined)
    texts.push(`${endpoint.namespace ?? "node"}/${endpoint.name}`, `${endpoint.namespace ?? "node"}/${endpoint.type}/${endpoint.name}`);
  if (endpoint.workload !== undefined)
    texts.push(`${endpoint.namespace}/${endpoint.workload}`, `${endpoint.namespace}/${shortWorkload(endpoint.workload)}`);
  return texts.some((text) => matchesGlob(pattern, text));
}

/** Matches `*` as any text, without backtracking over the whole: the parts between stars must come in order. */
function matchesGlob(pattern: string, text: string): boolean {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === text;
  const first = parts[0];
  const last = parts[parts.length - 1];
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0 || found + part.length > text.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

function matchesPort(pattern: string | undefined, protocol: number, port: number): boolean {
  if (pattern === undefined) return true;
  const [, first, last = first, name] = PORT_PATTERN.exec(pattern) ?? [];
  if (name !== undefined && name.toLowerCase() !== protocolName(protocol).toLowerCase()) return false;
  return first === undefined || (port >= Number(first) && port <= Number(last));
}
