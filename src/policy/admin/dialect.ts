import type { PortRange } from "../../net/portRange.ts";
import { TRANSPORTS } from "../../net/protocol.ts";
import { readPortNumber } from "../kubernetes/networkPolicy.ts";
import type { Action, PolicyTier, PortMatch } from "../model.ts";
import { portNameFault } from "../names.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";

/** What the kinds of policy.networking.k8s.io say differently of the same things. */
export interface AdminDialect {
  /** Fields of `spec` besides subject and rules; `readTier` reads them. */
  readonly tierFields: readonly string[];
  readonly readTier: (reader: ObjectReader, spec: Fields) => PolicyTier;
  readonly actions: Readonly<Record<string, Action>>;
  /** How many rules a direction may have, and how many peers and ports a rule. */
  readonly most: number;
  readonly egressPeers: readonly string[];
  readonly portsField: "ports" | "protocols";
  /** Returns what one entry of the ports says; nothing after an error. */
  readonly readPort: (reader: ObjectReader, value: unknown, path: Path) => readonly PortMatch[];
  /** Which of `namespaceSelector` and `podSelector` a selection of pods must have. */
  readonly podFields: readonly string[];
  /** Whether a named port beside peers that are no pods is an error (CEL rule of the CRD) or a warning. */
  readonly namedPortsNeedPods: boolean;
  /** Whether peers may be met in the shape of network-policy-api v0.1.1 and older. */
  readonly hasOlderShapes: boolean;
}

/** How many networks or domain names one peer may list (CRDs: maxItems). */
export const MOST_IN_PEER = 25;

export const INGRESS_PEERS = ["namespaces", "pods"] as const;

/** Returns the priority of a policy, 0 to 1000: the lowest is asked first. */
export function readPriority(reader: ObjectReader, spec: Fields): number {
  const path = ["spec", "priority"];
  if ((spec.priority ?? null) === null) reader.error(path, "a `priority` is required: 0 (asked first) to 1000");
  const priority = reader.integer(spec.priority, path) ?? 0;
  if (priority < 0 || priority > 1000) reader.error(path, `the priority ${quote(priority)} is not in 0..1000`);
  return priority;
}

/** Returns which of several fields is set, of which a mapping must have exactly one; undefined after an error. */
export function readOneOf<Name extends string>(
  reader: ObjectReader,
  value: unknown,
  path: Path,
  names: readonly Name[],
  what: string,
): { name: Name; value: unknown; path: Path } | undefined {
  const fields = reader.mapping(value ?? {}, path, names);
  if (!fields) return undefined;
  const present = Object.keys(fields).filter((key) => (fields[key] ?? null) !== null);
  const known = names.filter((name) => present.includes(name));
  const [name] = known;
  if (known.length === 1) return { name, value: fields[name], path: [...path, name] };
  if (known.length > 1) reader.error(path, `${what} can have only one of ${alternatives(known)}`);
  // An unknown field alone is an error already.
  else if (present.length === 0) reader.error(path, `${what} must have ${names.length > 1 ? "one of " : ""}${alternatives(names)}`);
  return undefined;
}

/** Returns the items of a list that may not be empty nor hold more than `most`; undefined when it is absent or no list. */
export function readItems(reader: ObjectReader, value: unknown, path: Path, most: number): readonly unknown[] | undefined {
  const items = reader.list(value, path);
  if (items && items.length > most) reader.error(path, `${items.length} items, and at most ${most} may be listed`);
  if (items?.length === 0) reader.error(path, "an empty list: list at least one item");
  return items;
}

/** Returns what a port name without protocol means: a port of that name, whichever protocol it is of. */
export function readNamedPort(reader: ObjectReader, value: unknown, path: Path): readonly PortMatch[] {
  const name = reader.text(value, path);
  if (name === undefined) return [];
  const fault = portNameFault(name);
  // The CRDs take any text here, but no container can declare such a port.
  if (fault && name !== "") reader.warning(path, `${quote(name)} ${fault}; it matches nothing`);
  else if (fault) reader.error(path, "a port name is required");
  return TRANSPORTS.map((protocol) => ({ protocol, ports: { name } }));
}

/** Returns the port in a required field of a mapping; undefined where it is missing. */
export function readPortIn(reader: ObjectReader, fields: Fields, path: Path, field: string): PortRange | undefined {
  if ((fields[field] ?? null) === null) reader.error(path, `${/^[aeiou]/.test(field) ? "an" : "a"} \`${field}\` is required`);
  const port = readPortNumber(reader, fields[field], [...path, field]);
  return port === undefined ? undefined : { first: port, last: port };
}

/** Returns the ports from `start` to `end` of a mapping. The former must be below the latter (API reference: PortRange). */
export function readRange(reader: ObjectReader, fields: Fields, path: Path): PortRange | undefined {
  const start = readPortIn(reader, fields, path, "start");
  const end = readPortIn(reader, fields, path, "end");
  if (!start || !end) return undefined;
  const { first } = start;
  const { last } = end;
  if (first >= last) reader.error(path, `the start ${quote(first)} of a range must be below its end ${quote(last)}`);
  return { first, last };
}

/** Returns names as a choice: `a`, `b` or `c`. */
export function alternatives(names: readonly string[]): string {
  const quoted = names.map(quote);
  return quoted.length > 1 ? `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}` : quoted.join("");
}
