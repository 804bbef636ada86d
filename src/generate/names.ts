import { createHash } from "node:crypto";
import type { Dialect } from "./dialect.ts";
import type { SelectableWorkload } from "./workloads.ts";

/** What a policy and its file are called. */
export interface PolicyName {
  readonly name: string;
  readonly file: string;
}

/** RFC 1123 subdomains (Kubernetes: Object Names and IDs). */
const MOST_CHARACTERS = 253;
/** Bytes that a file's name may have on every common file system (NAME_MAX). */
const MOST_BYTES = 255;
const FILE_END = "-networkpolicy.yaml";
/** Names of what is written for whole namespaces. */
export const DEFAULT_DENY = "default-deny";

/**
 * Gives every workload's policy a name of its own, whatever was seen: its workload's, with the kind where two of one namespace have
 * one name, and a hash of who it is where names still clash. `isTaken`: whether a policy that is not ours has the name.
 */
export class PolicyNames {
  readonly #dialect: Dialect;
  readonly #isTaken: (namespace: string, name: string) => boolean;
  readonly #names = new Map<string, PolicyName>();

  constructor(workloads: readonly SelectableWorkload[], dialect: Dialect, isTaken: (namespace: string, name: string) => boolean) {
    this.#dialect = dialect;
    this.#isTaken = isTaken;
    const alike = Map.groupBy(workloads, ({ namespace, name }) => `${namespace}/${name}`);
    const plain = new Map<string, { namespace: string; name: string }>();
    for (const workload of workloads) {
      const { key, namespace, kind, name } = workload;
      const base = alike.get(`${namespace}/${name}`)!.length > 1 ? `${name}-${kind.toLowerCase()}` : name;
      plain.set(key, { namespace, name: this.#nameOf(namespace, base, key) });
    }
    for (const namespace of new Set(workloads.map((workload) => workload.namespace)))
      plain.set(`${DEFAULT_DENY}/${namespace}`, { namespace, name: this.#nameOf(namespace, DEFAULT_DENY, DEFAULT_DENY) });
    const scope = (namespace: string) => (dialect.isClusterWide ? "" : namespace);
    const claimed = count([...plain.values()].map(({ namespace, name }) => `${scope(namespace)}/${name}`));
    const named = [...plain].map(([key, { namespace, name }]) => {
      const isClash = claimed.get(`${scope(namespace)}/${name}`)! > 1;
      return { key, namespace, name: isClash ? withHash(name, key, MOST_CHARACTERS) : name };
    });
    const claimedFiles = count(named.map(({ namespace, name }) => this.#fileOf(namespace, name)));
    for (const { key, namespace, name } of named) {
      const file = this.#fileOf(namespace, name);
      const isClash = claimedFiles.get(file)! > 1;
      this.#names.set(key, {
        name,
        file: isClash ? `${withHash(file.slice(0, -FILE_END.length), key, MOST_BYTES - FILE_END.length)}${FILE_END}` : file,
      });
    }
  }

  of({ key }: SelectableWorkload): PolicyName {
    return this.#names.get(key)!;
  }

  ofDefaultDeny(namespace: string): PolicyName {
    return this.#names.get(`${DEFAULT_DENY}/${namespace}`)!;
  }

  #nameOf(namespace: string, base: string, key: string): string {
    const whole = this.#dialect.isClusterWide ? `${namespace}-${base}` : base;
    const name = this.#valid(whole, key);
    if (!this.#isTaken(namespace, name)) return name;
    for (let count = 1; ; count++) {
      const other = this.#valid(`${name}-kguardian${count === 1 ? "" : `-${count}`}`, key);
      if (!this.#isTaken(namespace, other)) return other;
    }
  }

  /** Returns the name with what the API server refuses replaced. Calico's policies may have no dots of their own. */
  #valid(text: string, key: string): string {
    const forbidden = this.#dialect.type === "calico" ? /[^a-z0-9-]+/g : /[^a-z0-9.-]+/g;
    const plain =
      text
        .toLowerCase()
        .replace(forbidden, "-")
        .replace(/[-.]*\.[-.]*/g, ".")
        .replace(/^[-.]+|[-.]+$/g, "") || "workload";
    return plain.length > MOST_CHARACTERS ? withHash(plain, key, MOST_CHARACTERS) : plain;
  }

  #fileOf(namespace: string, name: string): string {
    // Namespaces of a hostile snapshot may be paths.
    const base = (this.#dialect.isClusterWide ? name : `${namespace}-${name}`).replace(/[^A-Za-z0-9.-]/g, "-").replace(/^[-.]+/, "");
    const most = MOST_BYTES - FILE_END.length;
    return `${base.length > most ? withHash(base, `${namespace}/${name}`, most) : base}${FILE_END}`;
  }
}

function count(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}

function withHash(name: string, key: string, most: number): string {
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 8);
  return `${name.slice(0, most - hash.length - 1).replace(/[-.]+$/, "")}-${hash}`;
}
