import type { ManifestObject } from "../../cluster/manifest.ts";
import {
  type Action,
  type Direction,
  type Peer,
  type Policy,
  type PolicyTier,
  type PortMatch,
  portNameOf,
  type Rule,
  type RuleList,
} from "../model.ts";
import { readHead } from "../objectHead.ts";
import { type Fields, instead, type ObjectReader, type Path, quote, readerOf } from "../objectReader.ts";
import type { ObjectReading } from "../reading.ts";
import { type AdminDialect, alternatives, readItems } from "./dialect.ts";
import { readPeer, readSubject } from "./peers.ts";

/** Where the peers of a direction are written. */
export const PEERS_FIELD = { ingress: "from", egress: "to" } as const;

const LONGEST_RULE_NAME = 100; // CRDs: maxLength, in characters

/** What the readers of one object share. */
interface Context {
  readonly reader: ObjectReader;
  readonly dialect: AdminDialect;
  readonly tier: PolicyTier;
}

/**
 * Returns the policy of an object of policy.networking.k8s.io, and what is wrong with it as the API server would say with
 * fieldValidation=Strict and the CRD of that kind (schema and CEL rules). Any error means no policy.
 */
export function readAdminPolicy(object: ManifestObject, dialect: AdminDialect): ObjectReading {
  const reader = readerOf(object);
  const { ref, spec: written } = readHead(reader, object);
  const spec = reader.mapping(written, ["spec"], [...dialect.tierFields, "subject", "ingress", "egress"]);
  // INVARIANT: readHead has said why.
  if (!spec) return { problems: reader.problems };
  const tier = dialect.readTier(reader, spec);
  const context: Context = { reader, dialect, tier };
  const subject = readSubject(reader, spec.subject, dialect);
  const ingress = readRules(context, spec.ingress, "ingress");
  const egress = readRules(context, spec.egress, "egress");
  if (reader.hasErrors()) return { problems: reader.problems };
  const policy: Policy = {
    ref,
    tier,
    subject,
    ...(ingress ? { ingress } : {}),
    ...(egress ? { egress } : {}),
  };
  return { policies: [policy], problems: reader.problems };
}

/** Returns the rules of a direction; undefined for none: without rules a policy does not affect it (API reference: Ingress, Egress). */
function readRules(context: Context, value: unknown, direction: Direction): RuleList | undefined {
  const { reader, dialect } = context;
  const path = ["spec", direction];
  const items = reader.list(value, path) ?? [];
  if (items.length > dialect.most) reader.error(path, `${items.length} rules, and at most ${dialect.most} may be listed`);
  if (items.length === 0) return undefined;
  return { isolates: false, rules: items.map((each, index) => readRule(context, each, [...path, index], direction)) };
}

function readRule(context: Context, value: unknown, path: Path, direction: Direction): Rule {
  const { reader, dialect } = context;
  const peersField = PEERS_FIELD[direction];
  const fields = reader.mapping(value ?? {}, path, ["name", "action", peersField, dialect.portsField]) ?? {};
  checkName(reader, fields.name, [...path, "name"]);
  const action = readAction(context, fields, path);
  const peersPath = [...path, peersField];
  if ((fields[peersField] ?? null) === null) reader.error(path, `a \`${peersField}\` is required: \`- namespaces: {}\` is every pod`);
  const peers = (readItems(reader, fields[peersField], peersPath, dialect.most) ?? []).flatMap((each, index) =>
    readPeer(reader, each, [...peersPath, index], { direction, action, dialect }),
  );
  const portsPath = [...path, dialect.portsField];
  const ports = readItems(reader, fields[dialect.portsField], portsPath, dialect.most)?.flatMap((each, index) =>
    dialect.readPort(reader, each, [...portsPath, index]),
  );
  if (hasNamedPort(ports) && peers.some(({ kind }) => kind !== "pods")) {
    const message = "only pods have named ports: beside `networks`, `nodes` or `domainNames` write port numbers";
    if (dialect.namedPortsNeedPods) reader.error(portsPath, message);
    else reader.warning(portsPath, message);
  }
  if (direction === "ingress" && action === "allow" && context.tier.kind === "admin" && ports === undefined && peers.some(isEveryPod)) {
    reader.warning(path, "this rule lets every pod in on every port, and no NetworkPolicy can deny it");
  }
  return { action: action ?? "deny", peers, ports: ports ?? "any", ref: reader.refOf(path) };
}

function checkName(reader: ObjectReader, value: unknown, path: Path): void {
  const { length } = Array.from(reader.text(value, path) ?? "");
  if (length > LONGEST_RULE_NAME) reader.error(path, `the name of a rule may have ${LONGEST_RULE_NAME} characters, this one has ${length}`);
}

function readAction({ reader, dialect }: Context, fields: Fields, path: Path): Action | undefined {
  const names = Object.keys(dialect.actions);
  const text = reader.text(fields.action, [...path, "action"]);
  if ((fields.action ?? null) === null) reader.error(path, `an \`action\` is required: ${alternatives(names)}`);
  if (text === undefined) return undefined;
  if (names.includes(text)) return dialect.actions[text];
  reader.error([...path, "action"], `${quote(text)} is no action here${instead(text, names, alternatives(names))}`);
  return undefined;
}

/** Reports whether a port of a rule is given by its name. */
function hasNamedPort(ports: readonly PortMatch[] | undefined): boolean {
  return ports?.some((port) => portNameOf(port) !== undefined) ?? false;
}

function isEveryPod(peer: Peer): boolean {
  if (peer.kind !== "pods" || "name" in peer.match.namespaces) return false;
  return peer.match.namespaces.selector.requirements.length === 0 && peer.match.pods.requirements.length === 0;
}
