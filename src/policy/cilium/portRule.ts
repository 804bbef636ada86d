import type { Action, Direction, L7Match, PortMatch } from "../model.ts";
import { type Fields, type ObjectReader, type Path, quote } from "../objectReader.ts";
import { opaque, pick, readRequestRules } from "./l7.ts";
import { MOST_IN_ENTRY, readCiliumPort } from "./ports.ts";

/** Where an entry of `toPorts` stands. */
export interface PortRulePlace {
  readonly direction: Direction;
  readonly action: Action;
  /** Whether its policy selects nodes. */
  readonly isHostPolicy: boolean;
}

/** One entry of `toPorts`. */
export interface PortRule {
  readonly ports: readonly PortMatch[];
  readonly l7?: readonly L7Match[];
}

const ALLOW_FIELDS = ["rules", "terminatingTLS", "originatingTLS", "serverNames", "listener"];

/** Returns one entry of `toPorts` (Cilium PortRule.Validate, PortDenyRule.Validate). Without ports it matches nothing. */
export function readPortRule(reader: ObjectReader, value: unknown, path: Path, place: PortRulePlace): PortRule {
  const fields = reader.mapping(value ?? {}, path, ["ports", ...ALLOW_FIELDS]) ?? {};
  const portsPath = [...path, "ports"];
  const entries = reader.list(fields.ports, portsPath) ?? [];
  if (entries.length > MOST_IN_ENTRY)
    reader.error(portsPath, `at most ${MOST_IN_ENTRY} ports may be listed here: write several entries of \`toPorts\``);
  if (entries.length === 0) reader.warning(path, "an entry without `ports` matches nothing: port `0` is every port");
  if (place.action === "deny") {
    for (const name of ALLOW_FIELDS) {
      if ((fields[name] ?? null) !== null) reader.warning([...path, name], "Cilium ignores this in a deny rule: the whole port is denied");
    }
    return { ports: entries.flatMap((each, index) => readCiliumPort(reader, each, [...portsPath, index], false).matches) };
  }
  const rulesPath = [...path, "rules"];
  const rules = readRequestRules(reader, fields.rules, rulesPath);
  const ports = entries.map((each, index) => readCiliumPort(reader, each, [...portsPath, index], rules.hasDnsRules));
  if (rules.isPresent) {
    if (rules.hasDnsRules && place.direction === "ingress") reader.error([...rulesPath, "dns"], "DNS rules are for egress only");
    if (place.isHostPolicy && (place.direction === "ingress" || rules.hasHttpRules)) {
      reader.error(rulesPath, "a policy for nodes cannot have rules on requests");
    }
    if (ports.some(({ isZero }) => isZero)) reader.error(rulesPath, "rules on requests need port numbers: not port `0`");
    const other = ports.find(({ protocol }) => protocol !== "TCP");
    if (other && !rules.hasDnsRules) {
      const found = other.protocol === "" ? "none" : quote(other.protocol);
      reader.error(rulesPath, `rules on requests need the protocol \`TCP\` at every port (DNS rules apart), found ${found}`);
    }
    if ((fields.rules as Fields).dns && ports.length === 0) reader.error(rulesPath, "DNS rules need `ports`, such as 53");
  }
  const unknowable = readProxyFields(reader, fields, path, rules.isPresent, place.direction);
  // Names of servers come on top of the rules, so neither alone tells what passes.
  const l7 = unknowable.length > 0 ? [opaque(pick(fields, [...unknowable, "terminatingTLS", "rules"]))] : rules.l7;
  return { ports: ports.flatMap(({ matches }) => matches), ...(l7 ? { l7 } : {}) };
}

/** Checks what concerns the proxy, and returns which fields decide on more than can be told here. TLS contexts decide nothing. */
function readProxyFields(reader: ObjectReader, fields: Fields, path: Path, hasRules: boolean, direction: Direction): readonly string[] {
  const terminating = readTlsContext(reader, fields.terminatingTLS, [...path, "terminatingTLS"]);
  readTlsContext(reader, fields.originatingTLS, [...path, "originatingTLS"]);
  const namesPath = [...path, "serverNames"];
  const names = (reader.list(fields.serverNames, namesPath) ?? []).map((each, index) => {
    const name = reader.text(each, [...namesPath, index]) ?? "";
    if (name === "") reader.error([...namesPath, index], "a server name is required");
    return name;
  });
  if (names.length > 0 && hasRules && !terminating) {
    reader.error(namesPath, "`serverNames` with rules on requests need `terminatingTLS`");
  } else if (names.length > 0) {
    reader.warning(namesPath, "server names of TLS are not judged: verdicts that hang on them are unknown");
  }
  const listenerPath = [...path, "listener"];
  const listener = reader.mapping(fields.listener, listenerPath, ["envoyConfig", "name", "priority"]);
  if (listener && direction === "ingress") reader.error(listenerPath, "a `listener` is for egress only");
  else if (listener && hasRules) reader.error(listenerPath, "a `listener` and rules on requests cannot stand together");
  else if (listener) reader.warning(listenerPath, "what the listener lets pass is not known here: verdicts that hang on it are unknown");
  return [...(names.length > 0 ? ["serverNames"] : []), ...(listener ? ["listener"] : [])];
}

function readTlsContext(reader: ObjectReader, value: unknown, path: Path): Fields | undefined {
  const context = reader.mapping(value, path, ["secret", "trustedCA", "certificate", "privateKey"]);
  for (const name of ["trustedCA", "certificate", "privateKey"]) reader.text(context?.[name], [...path, name]);
  const secret = reader.mapping(context?.secret, [...path, "secret"], ["namespace", "name"]);
  for (const name of ["namespace", "name"]) reader.text(secret?.[name], [...path, "secret", name]);
  return context;
}
