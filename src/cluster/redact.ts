import { textAt } from "./cni.ts";
import { isMapping } from "./manifest.ts";
import { AddressRedactor } from "./redactAddresses.ts";
import { contextOf, contextOfNothing, isPolicy, keptMetadata, type RedactionContext } from "./redactContext.ts";
import { NameRedactor } from "./redactNames.ts";
import { redactKey, redactSelector } from "./redactSelectors.ts";
import { ENTITIES, isMethods, OWNER_KINDS, PROTOCOLS, SETTINGS, WORDS } from "./redactWords.ts";

type Value = Readonly<Record<string, unknown>>;

/** What a text field of some name holds: its pseudonym. */
type RedactText = (text: string, object: Value) => string;

const KEY_BYTES = 32;
const PREFIXES = /[0-9a-fA-F.:]{2,}(?:\/\d+)?/g;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const PORT_NUMBERS = /^[\d:_-]+$/;
const CALICO_METADATA = "projectcalico.org/metadata";
/** Annotations that sanitizeObject leaves. */
const PLUGIN_ANNOTATION =
  /^(projectcalico\.org|node\.antrea\.io|k8s\.ovn\.org|network\.cilium\.io|io\.cilium\.network\.ipv[46]-cilium-host)(\/|$)/;
const RANGE_FLAG = /^--(cluster-cidr|service-cluster-ip-range)=/;

/**
 * Replaces names and addresses in objects that `sanitizeObject` has cut, the same text by the same pseudonym in every object for one
 * key, so that policies give the same verdicts on what is left.
 *
 * Kept: kinds, structure, numbers (ports, orders), times and resource versions, words of the APIs, keys of labels that are well known,
 * names by which network plugins and the cluster's own parts are found (kube-system, cilium, Service default/kubernetes).
 * Replaced: all other names, values and keys of labels, port names, uids (redactNames.ts), DNS names label by label, addresses and
 * prefixes (redactAddresses.ts). Any text of which it is not known what it is becomes a pseudonym too.
 *
 * Not hidden: how long names are, where they have equal parts, which addresses are close to each other, what there is how often.
 * Not preserved: what HTTP rules ask for but methods (paths, hosts, headers: two are equal afterwards where they were, but neither a
 * beginning nor an expression matches what it matched), wildcards for a part of a DNS label (`a*.example.com`), Kafka rules, texts
 * for people, that an expression was no valid one, and first addresses of pod prefixes of unusual length, which bridges have.
 *
 * `objects`: all those that will be given to `redact`, candidates among them. With them the order of policies and tiers by their names,
 * which decides where their orders are equal, stays (and is visible), and so does what Calico's `contains`, `starts with` and `ends with`
 * select. Without them such pseudonyms hang on the key alone, in whatever snapshot.
 *
 * Throws a RangeError for a key that has not 32 bytes.
 */
export class Redactor {
  readonly #names: NameRedactor;
  readonly #addresses: AddressRedactor;
  readonly #context: RedactionContext;
  readonly #texts: ReadonlyMap<string, RedactText>;

  constructor(key: Uint8Array, objects?: Iterable<Value>) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
    this.#addresses = new AddressRedactor(key);
    this.#names = new NameRedactor(key, this.#addresses);
    this.#context = objects === undefined ? contextOfNothing(this.#names) : contextOf(objects, this.#names);
    this.#texts = this.#textFields();
  }

  /** Returns a new object with pseudonyms. */
  redact(value: Record<string, unknown>): Record<string, unknown> {
    const redacted = this.#fields(value, value, isPolicy(value));
    const { apiVersion, kind } = value;
    return {
      ...redacted,
      ...(Object.hasOwn(value, "apiVersion") ? { apiVersion: typeof apiVersion === "string" ? apiVersion : redacted.apiVersion } : {}),
      ...(Object.hasOwn(value, "kind") ? { kind: typeof kind === "string" ? kind : redacted.kind } : {}),
      ...(isMapping(redacted.metadata) ? { metadata: this.#named(value, redacted.metadata) } : {}),
    };
  }

  /** Gives the metadata of policies and tiers names that keep their order. */
  #named(object: Value, metadata: Value): Value {
    const name = textAt(object, "metadata", "name");
    return name === "" ? metadata : { ...metadata, name: this.#objectName(object, name) };
  }

  #objectName(object: Value, name: string): string {
    if (isPolicy(object)) return this.#context.policyName(object, name);
    return object.kind === "Tier" ? this.#context.tierName(name) : this.#names.name(name);
  }

  #fields(fields: Value, object: Value, inPolicy: boolean): Record<string, unknown> {
    return Object.fromEntries(Object.entries(fields).map(([key, each]) => [key, this.#field(key, each, object, inPolicy)]));
  }

  #field(key: string, value: unknown, object: Value, inPolicy: boolean): unknown {
    if (typeof value === "string") return (this.#texts.get(key) ?? this.#plain)(value, object);
    if (Array.isArray(value)) {
      if (key === "args") return value.filter((each) => typeof each === "string").flatMap((each) => this.#flag(each));
      // What they hold decides nothing here, and its keys are anybody's.
      if (inPolicy && ["kafka", "l7", "labels"].includes(key)) return [];
      return value.map((each) => this.#field(key, each, object, inPolicy));
    }
    if (!isMapping(value)) return value;
    if (key === "matchLabels" || key === "labels" || (key === "selector" && object.kind === "Service" && !inPolicy))
      return this.#labels(value);
    if (key === "annotations") return this.#annotations(value, object);
    if (key === "data") return this.#data(value);
    return this.#fields(value, object, inPolicy);
  }

  #labels(labels: Value): Value {
    const redacted = Object.entries(labels).map(([key, value]) => [
      redactKey(key, this.#names),
      typeof value === "string" ? this.#names.name(value) : isMapping(value) || Array.isArray(value) ? {} : value,
    ]);
    return Object.fromEntries(redacted);
  }

  #annotations(annotations: Value, object: Value): Value {
    const kept = keptMetadata(object);
    const redacted = Object.entries(annotations).flatMap(([key, value]) => {
      if (key === CALICO_METADATA) return [[key, kept === undefined ? "" : this.#keptMetadata(kept, object)] as const];
      if (!PLUGIN_ANNOTATION.test(key)) return [];
      return [[key, typeof value === "string" ? this.#addressesIn(value).join(",") : value] as const];
    });
    return Object.fromEntries(redacted);
  }

  #keptMetadata({ name, labels }: Value, object: Value): string {
    return JSON.stringify({
      ...(typeof name === "string" ? { name: this.#objectName(object, name) } : {}),
      ...(isMapping(labels) ? { labels: this.#labels(labels) } : {}),
    });
  }

  /** Settings of plugins, and the ranges of kubeadm. */
  #data(data: Value): Value {
    const redacted = Object.entries(data).flatMap(([key, value]) => {
      if (typeof value !== "string") return [];
      const lines = value.split("\n").flatMap((line) => {
        const [, name, rest] = /^(podSubnet|serviceSubnet|\w+NetworkPolicy): (.*)$/.exec(line) ?? [];
        if (name === undefined) return [];
        return [`${name}: ${name.endsWith("Subnet") ? this.#addressesIn(rest).join(",") : this.#setting(rest)}\n`];
      });
      return [[key, lines.length > 0 ? lines.join("") : this.#setting(value)] as const];
    });
    return Object.fromEntries(redacted);
  }

  #addressesIn(text: string): readonly string[] {
    return (text.match(PREFIXES) ?? []).map((each) => this.#addresses.redactText(each)).filter((each) => each !== undefined);
  }

  #flag(text: string): readonly string[] {
    const flag = RANGE_FLAG.exec(text)?.[0];
    if (flag !== undefined) return [flag + this.#addressesIn(text.slice(flag.length)).join(",")];
    return text === "--enable-network-policy=true" ? [text] : [];
  }

  /** Whatever has no rule of its own: an address, a word of an API, else a name. */
  readonly #plain: RedactText = (text) => (WORDS.has(text) ? text : this.#names.name(text));

  readonly #setting = (text: string): string => (SETTINGS.has(text.toLowerCase()) ? text : this.#names.name(text));

  /** What the text fields of each name hold, of whichever object: no two mean different things by one name. */
  #textFields(): ReadonlyMap<string, RedactText> {
    const names = this.#names;
    const rules: readonly (readonly [readonly string[], RedactText])[] = [
      [["key"], (text) => redactKey(text, names)],
      // Values of labels and names of accounts are never words of an API.
      [["values", "names", "name", "namespace", "serviceName"], (text) => names.name(text)],
      [
        ["selector", "notSelector", "namespaceSelector", "serviceAccountSelector"],
        (text) => redactSelector(text, names, this.#context.knownValues),
      ],
      [["port", "ports", "notPorts", "targetPort", "namedPort", "destinationNamedPort"], (text, object) => this.#port(text, object)],
      [["protocol", "notProtocol"], (text) => (PROTOCOLS.has(text.toUpperCase()) || /^\d+$/.test(text) ? text : names.name(text))],
      [["type"], (text) => (WORDS.has(text) || /^[+-]?\d+$/.test(text) ? text : names.name(text))],
      [["fromEntities", "toEntities"], (text) => (ENTITIES.has(text) ? text : names.name(text))],
      [["tier"], (text) => (WORDS.has(text) ? text : this.#context.tierName(text))],
      [["mode", "defaultEndpointToHostAction"], this.#setting],
      [["matchName", "matchPattern", "domainNames", "serverNames", "dnsName", "fqdn"], (text) => names.host(text)],
      [["path", "host", "exact", "prefix"], (text) => (text.startsWith("/") ? "/" : "") + names.literal(text)],
      [["method", "methods"], (text) => (isMethods(text) ? text : names.literal(text))],
      [["headers"], (text) => this.#header(text)],
      // Of an environment, or of a header.
      [["value"], (text, object) => (isPolicy(object) ? names.literal(text) : this.#setting(text))],
      [["description", "l7proto"], (text) => names.literal(text)],
      [["creationTimestamp", "deletionTimestamp", "startTime", "finishedAt"], (text) => (RFC3339.test(text) ? text : names.name(text))],
      [["resourceVersion"], (text) => (/^\d{1,30}$/.test(text) ? text : names.name(text))],
      [["kind"], (text) => (OWNER_KINDS.has(text) ? text : names.name(text))],
      [["apiVersion"], (text) => (/^((\w+|[a-z.]+\.k8s\.io|argoproj\.io)\/)?v\d+(\w+\d+)?$/.test(text) ? text : names.name(text))],
      [["group"], (text) => (/(cilium\.io|projectcalico\.org|antrea\.io|k8s\.aws)$/.test(text) ? text : names.name(text))],
      [["kubeletVersion"], (text) => `${/^v?\d+\.\d+\.\d+/.exec(text)?.[0] ?? ""}${text.includes("+k3s") ? "+k3s1" : ""}`],
      [["image"], (text) => `agent:${/:v?(\d+(?:\.\d+)+)/.exec(text)?.[1] ?? "latest"}`],
    ];
    return new Map(rules.flatMap(([fields, redact]) => fields.map((field) => [field, redact] as const)));
  }

  /** Cilium takes the name of a port in any case. */
  #port(text: string, { apiVersion }: Value): string {
    if (PORT_NUMBERS.test(text)) return text;
    return this.#names.name(typeof apiVersion === "string" && apiVersion.startsWith("cilium.io/") ? text.toLowerCase() : text);
  }

  /** `Name: value` or `Name`, parted at the first space (policy/cilium/l7.ts). */
  #header(text: string): string {
    const space = text.indexOf(" ");
    if (space < 0) return this.#names.literal(text);
    return `${this.#names.literal(text.slice(0, space).replace(/:+$/, ""))}: ${this.#names.literal(text.slice(space + 1))}`;
  }
}
