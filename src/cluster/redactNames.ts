import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import type { AddressRedactor } from "./redactAddresses.ts";

/*
 * Pseudonyms of names, part by part: `web-7d4b9-abcde` has the parts web, 7d4b9 and abcde, and each becomes another one of its own length,
 * a letter for a letter and a digit for a digit (a keyed Feistel network over all parts of that shape, so a bijection). Thereby
 *
 * - no two names get the same pseudonym, without remembering any;
 * - every pseudonym is valid where the name was (DNS labels of 63 characters, port names of 15 with a letter in them), and only there;
 * - names within names stay so: a ReplicaSet is still called after its Deployment and its pods' hash, a pod after its ReplicaSet.
 *
 * Lengths, separators and equal parts are not hidden.
 */

/** Names that the program gives a meaning to, whatever they are names of. */
const KEPT = new Set([
  ...["default", "kubernetes", "kube-system", "kube-public", "kube-node-lease", "kube-dns", "dns", "dns-tcp", "k8s"],
  ...["kube-admin", "kube-baseline", "cilium-config", "antrea-config", "amazon-vpc-cni", "kubeadm-config"],
  ...["linux", "windows", "amd64", "arm64", "FELIX_DEFAULTENDPOINTTOHOSTACTION", "NETWORK_POLICY_ENFORCING_MODE"],
]);

/** The same of beginnings: agents of network plugins, control-plane pods, and what Calico calls other systems' policies. */
const KEPT_BEGINNINGS = [
  ...["cilium", "anetd", "calico-node", "canal", "antrea-agent", "ovnkube-node", "aws-node", "kube-router", "kube-flannel", "kindnet"],
  ...["kube-controller-manager", "kube-apiserver", "knp.default", "ossg.default"],
];

/** Keys of labels that are common, or that the program looks at (workloads.ts: NAME_LABELS and VOLATILE_LABELS; Cilium's own). */
const KEPT_KEYS = new Set([
  ...["app", "k8s-app", "name", "run", "component", "tier", "role", "version", "env", "environment", "chart", "release", "heritage"],
  ...["pod-template-hash", "rollouts-pod-template-hash", "pod-template-generation", "controller-revision-hash", "controller-uid"],
  ...["job-name", "io.kubernetes.pod.namespace", "io.cilium.k8s.policy.serviceaccount", "io.cilium.k8s.policy.cluster"],
]);

/** Domains whose label keys are defined by an API or a well-known project. */
const KEPT_DOMAINS = [
  ...["kubernetes.io", "k8s.io", "x-k8s.io", "cilium.io", "projectcalico.org", "antrea.io", "ovn.org", "helm.sh", "tekton.dev"],
  ...["argoproj.io", "openshift.io", "cnpg.io", "kubernetes.azure.com", "eks.amazonaws.com", "cloud.google.com", "k3s.io", "istio.io"],
];

/** Below these domains people put names of their own. */
const OPEN_DOMAIN = /^node-(role|restriction)\.kubernetes\.io\//;
const KNOWN_ROLE = /^node-role\.kubernetes\.io\/(control-plane|master|worker|infra|etcd)$/;

const UID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Parts this short hang on what stands before them: else a few of them would be a code for digits, as in `ip-10-0-3-45`. */
const SHORT = 3;
const ROUNDS = 8;

/** Replaces names for one key. */
export class NameRedactor {
  readonly #key: KeyObject;
  readonly #addresses: AddressRedactor;
  readonly #parts = new Map<string, string>();
  readonly #names = new Map<string, string>();

  constructor(key: Uint8Array, addresses: AddressRedactor) {
    // Made once: from bytes it would be made anew for each hash, which took five times as long.
    this.#key = createSecretKey(createHmac("sha256", key).update("names").digest());
    this.#addresses = addresses;
  }

  /** Returns the pseudonym of a name or of a label's value; that of an address where it is one. */
  name(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const made = UID.test(text) ? this.#redactUid(text) : (this.#addresses.redactText(text) ?? this.#redactName(text));
    this.#names.set(text, made);
    return made;
  }

  /** A uid is random as it is, so that any other does. */
  #redactUid(text: string): string {
    const digits = this.#random("uid", text).toString("hex");
    return [0, 8, 12, 16, 20].map((from, index) => digits.slice(from, [8, 12, 16, 20, 32][index])).join("-");
  }

  #redactName(text: string): string {
    if (KEPT.has(text)) return text;
    const beginning = keptBeginning(text);
    // What is kept is nobody's pseudonym: walking on until a free one is met keeps the mapping a bijection.
    let made = text;
    do made = this.#redactParts(made, beginning.length);
    while (KEPT.has(made) || keptBeginning(made) !== beginning);
    return made;
  }

  /** Returns the pseudonym of a name of DNS with its wildcards, label by label: `*.example.com` holds what it held. Case is lost, as DNS has none. */
  host(text: string): string {
    return this.#addresses.redactText(text) ?? this.#redactParts(text.toLowerCase(), 0, false);
  }

  /** Returns the pseudonym of a label's key; keys that are well known stay. */
  key(text: string): string {
    if (isKeptKey(text)) return text;
    if (OPEN_DOMAIN.test(text)) return this.#redactParts(text, text.indexOf("/") + 1);
    let made = text;
    do made = this.#redactParts(made, 0);
    while (isKeptKey(made) || OPEN_DOMAIN.test(made));
    return made;
  }

  /** Returns what stands for a text of which nothing may be seen, not even its length. */
  literal(text: string): string {
    return text === "" ? "" : `x${this.#random("literal", text).toString("hex", 0, 6)}`;
  }

  #redactParts(text: string, from: number, hasContext = true): string {
    const rest = text.slice(from).replace(/[A-Za-z0-9]+|[^\u0020-\u007e]+/g, (part, at: number) => {
      // No name has such characters: the text stays one that readers refuse.
      if (!/^[A-Za-z0-9]/.test(part)) return `?${this.literal(part)}`;
      return this.#redactPart(part, hasContext && part.length <= SHORT ? text.slice(0, from + at) : "");
    });
    return text.slice(0, from) + rest;
  }

  #redactPart(part: string, before: string): string {
    const id = JSON.stringify([before, part]);
    const known = this.#parts.get(id);
    if (known !== undefined) return known;
    const made = part.length === 1 ? this.#shuffle(part, before) : this.#permute(part, before);
    this.#parts.set(id, made);
    return made;
  }

  /** One character: by a shuffled alphabet. */
  #shuffle(part: string, before: string): string {
    const { first, radix } = alphabetOf(part);
    const random = this.#random("alphabet", before, String(first));
    const order = Array.from({ length: radix }, (_, index) => index).sort(
      (a, b) => random.readUInt16BE(2 * a) - random.readUInt16BE(2 * b) || a - b,
    );
    return String.fromCharCode(first + order[part.charCodeAt(0) - first]);
  }

  /** A Feistel network over the two halves of a part, each a number in the mixed radix of its characters. */
  #permute(part: string, before: string): string {
    const alphabets = Array.from(part, alphabetOf);
    const middle = Math.ceil(part.length / 2);
    const shape = alphabets.map(({ first }) => String.fromCharCode(first)).join("");
    const sizes = [alphabets.slice(0, middle), alphabets.slice(middle)].map((half) =>
      half.reduce((size, { radix }) => size * BigInt(radix), 1n),
    );
    const halves = [toNumber(part.slice(0, middle)), toNumber(part.slice(middle))];
    for (let round = 0; round < ROUNDS; round++) {
      const [changed, other] = [round % 2, 1 - (round % 2)];
      const random = this.#random("part", before, shape, String(round), String(halves[other]));
      halves[changed] = (halves[changed] + BigInt(`0x${random.toString("hex")}`)) % sizes[changed];
    }
    return toText(halves[0], alphabets.slice(0, middle)) + toText(halves[1], alphabets.slice(middle));
  }

  /** Sixty-four bytes that nobody can tell without the key. */
  #random(...texts: readonly string[]): Buffer {
    return createHmac("sha512", this.#key).update(JSON.stringify(texts)).digest();
  }
}

interface Alphabet {
  readonly first: number; // code of its first character
  readonly radix: number;
}

function alphabetOf(character: string): Alphabet {
  const first = character >= "a" ? "a" : character >= "A" ? "A" : "0";
  return { first: first.charCodeAt(0), radix: first === "0" ? 10 : 26 };
}

function toNumber(text: string): bigint {
  let number = 0n;
  for (const character of text) {
    const { first, radix } = alphabetOf(character);
    number = number * BigInt(radix) + BigInt(character.charCodeAt(0) - first);
  }
  return number;
}

function toText(number: bigint, alphabets: readonly Alphabet[]): string {
  let rest = number;
  let text = "";
  for (const { first, radix } of alphabets.toReversed()) {
    text = String.fromCharCode(first + Number(rest % BigInt(radix))) + text;
    rest /= BigInt(radix);
  }
  return text;
}

function keptBeginning(text: string): string {
  return KEPT_BEGINNINGS.find((each) => text === each || text.startsWith(`${each}-`) || text.startsWith(`${each}.`)) ?? "";
}

function isKeptKey(key: string): boolean {
  const slash = key.indexOf("/");
  if (slash < 0) return KEPT_KEYS.has(key);
  const domain = key.slice(0, slash);
  const isKnown = KEPT_DOMAINS.some((each) => domain === each || domain.endsWith(`.${each}`));
  return isKnown && (!OPEN_DOMAIN.test(key) || KNOWN_ROLE.test(key));
}
