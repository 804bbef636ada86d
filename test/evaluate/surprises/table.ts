import { readManifest } from "../../../src/cluster/manifest.ts";
import type { Decision } from "../../../src/evaluate/decision.ts";
import { decideByRequests, type Request } from "../../../src/evaluate/l7.ts";
import type { CniName } from "../../../src/evaluate/profile.ts";
import { readPolicies } from "../../../src/policy/readPolicies.ts";
import { answersTo, caseNames, type EndText, type FlowQuestion } from "../../oracle/cases.ts";
import type { PlainObject } from "../../oracle/compiled.ts";
import type { Resources } from "../../oracle/obviousEvaluator.ts";

/*
 * Tables of rules that surprise: a row is the rule in words, policies, and what both sides answer to connections, as
 * `egress | ingress`. `[name]` in a rule names the file `probe-name` among the vectors that shows the same.
 */

/** What connections get: `shop/web > shop/api TCP/80` and more (see `flowOf`), to the first words of both sides' answers. */
export type Answers = Readonly<Record<string, string>>;
export type Row = readonly [rule: string, policies: readonly string[], answers: Answers];

/** Returns a writer of objects of a kind: `namespace/name`, or a name alone, perhaps with labels behind it; then lines below `spec:`. */
function writerOf(apiVersion: string, kind: string) {
  return (title: string, ...spec: readonly string[]): string => {
    const [, place, name, labels] = /^(?:(\S+)\/)?(\S+)(?: (.*))?$/.exec(title)!;
    const metadata = [`name: ${name}`, ...(place ? [`namespace: ${place}`] : []), ...(labels ? [`labels: ${labels}`] : [])];
    return [
      `apiVersion: ${apiVersion}`,
      `kind: ${kind}`,
      `metadata: {${metadata.join(", ")}}`,
      spec.length === 0 ? "spec: {}" : "spec:",
      ...spec.map((line) => `  ${line}`),
      "",
    ].join("\n");
  };
}

export const np = writerOf("networking.k8s.io/v1", "NetworkPolicy");
export const anp = writerOf("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy");
export const banp = writerOf("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy");
export const kcnp = writerOf("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy");
export const cnp = writerOf("cilium.io/v2", "CiliumNetworkPolicy");
export const ccnp = writerOf("cilium.io/v2", "CiliumClusterwideNetworkPolicy");
export const calico = writerOf("projectcalico.org/v3", "NetworkPolicy");
export const global = writerOf("projectcalico.org/v3", "GlobalNetworkPolicy");
export const staged = writerOf("projectcalico.org/v3", "StagedNetworkPolicy");
export const stagedGlobal = writerOf("projectcalico.org/v3", "StagedGlobalNetworkPolicy");
export const stagedKubernetes = writerOf("projectcalico.org/v3", "StagedKubernetesNetworkPolicy");
export const tier = writerOf("projectcalico.org/v3", "Tier");
export const networkSet = writerOf("projectcalico.org/v3", "NetworkSet");
export const globalNetworkSet = writerOf("projectcalico.org/v3", "GlobalNetworkSet");

/**
 * Reads `shop/web > world TCP/80`. Ends are pods, addresses, DNS names or what an address is labelled with; `TCP/80`, `47` and
 * `ICMP/3/1` (type, code) are asked for; `from 9000`: the initiator's port. What follows is a request: `GET /path Header:value`,
 * `dns www.example.com`.
 */
function flowOf(text: string, { pods, entities = {}, fqdns = {} }: Resources): { flow: FlowQuestion; requests: Request[] } {
  const [source, , destination, service, ...rest] = text.split(" ");
  const endOf = (name: string): EndText => {
    if (pods.some((pod) => `${pod.namespace}/${pod.name}` === name)) return { pod: name };
    return { ip: Object.keys(entities).find((address) => entities[address] === name) ?? fqdns[name]?.[0] ?? name };
  };
  const [protocol, number = "0", code = "0"] = service.split("/");
  const isIcmp = protocol.startsWith("ICMP");
  const from = rest[0] === "from" ? Number(rest[1]) : undefined;
  const flow: FlowQuestion = {
    src: endOf(source),
    dst: endOf(destination),
    protocol,
    ...(isIcmp ? { icmpType: Number(number), icmpCode: Number(code) } : { port: Number(number) }),
    ...(from === undefined ? {} : { srcPort: from }),
  };
  return { flow, requests: from !== undefined || rest.length === 0 ? [] : [requestOf(rest)] };
}

function requestOf([method, path, ...headers]: readonly string[]): Request {
  if (method === "dns") return { dns: { query: path } } as Request;
  const pairs = headers.map((header) => [header.slice(0, header.indexOf(":")), header.slice(header.indexOf(":") + 1)]);
  const host = pairs.find(([name]) => name === "Host")?.[1];
  return { http: { method, path, ...(host === undefined ? {} : { host }), headers: Object.fromEntries(pairs) } };
}

/** A side's answer: verdict, reason, what decided (the first rule, else the policies that isolate), notes. */
function told({ verdict, reason, notes, matched: [first], isolatedBy }: Decision): string {
  const by = first === undefined ? isolatedBy.map(({ ref }) => ref.name) : [first.policy.ref.name, first.rule.path];
  return [verdict, reason, ...by, ...notes.map((note) => `(${note})`)].join(" ");
}

/** Returns what the program answers where a row expects something: cut to the expected words where these are right. */
export function answersOf(cni: CniName, world: Resources, [, policies, answers]: Row): Answers {
  const objects = readManifest(policies.join("---\n"), "policies.yaml").map(({ value }): PlainObject => value as unknown as PlainObject);
  const asked = Object.entries(answers).map(([text, wanted]) => ({ text, wanted, ...flowOf(text, world) }));
  const { ask } = answersTo(
    { resources: world, policies: objects },
    asked.map(({ flow }) => flow),
    cni,
  );
  const answered = asked.map(({ text, wanted, flow, requests }) => {
    const answer = ask(flow);
    const sides = [answer.egress, answer.ingress].map((decision) => told(decideByRequests(decision, requests)));
    const words = wanted.split(" | ");
    const shown = sides.map((side, i) => (beginsWith(side, words[i]) ? words[i] : side));
    return [text, shown.join(" | ")];
  });
  return Object.fromEntries(answered);
}

/** Reports whether a text begins with whole words, or steps of a path. */
function beginsWith(text: string, words: string): boolean {
  return text === words || text.startsWith(`${words} `) || text.startsWith(`${words}.`);
}

/** Returns what reading says against policies. */
export function problemsOf(policies: readonly string[]): string[] {
  const { problems } = readPolicies(readManifest(policies.join("---\n"), "policies.yaml"), { defaultNamespace: "default" });
  return problems.map(({ severity, path, message }) => `${severity} ${path}: ${message}`);
}

/** Returns the vectors' probes that no row names; none where the vectors are not there. */
export function probesWithoutRow(folder: string, rules: readonly string[]): string[] {
  const named = new Set(rules.flatMap((rule) => [...rule.matchAll(/\[([a-z0-9-]+)\]/g)].map(([, name]) => `probe-${name}`)));
  return caseNames(folder).filter((name) => name.startsWith("probe-") && !named.has(name));
}
