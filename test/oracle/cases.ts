import { existsSync, readdirSync, readFileSync } from "node:fs";
import { combine, type Decision, type Verdict } from "../../src/evaluate/decision.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator, type Participant, type World } from "../../src/evaluate/evaluator.ts";
import { decideByRequests, type Request } from "../../src/evaluate/l7.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { AddressTable } from "../../src/flow/addressTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { parseAddress, wordsOfAddress } from "../../src/net/address.ts";
import type { PolicySet } from "../../src/policy/model.ts";
import { clusterOf, decide, type PlainObject, policySetOf, snapshotText } from "./compiled.ts";
import type { OracleNode, Resources } from "./obviousEvaluator.ts";

/*
 * The cases under shared/oracle and how they are asked: what `simulate --policy-mode replace` does with records of their flows,
 * without files and report. The READMEs there describe the format.
 */

export interface EndText {
  readonly pod?: string;
  readonly ip?: string;
}
/** What decided a side (Calico). */
export interface DecidedBy {
  readonly tier?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly rule?: number;
  readonly endOfTier?: boolean;
  readonly profile?: string;
}
export interface FlowQuestion {
  readonly src: EndText;
  readonly dst: EndText;
  readonly protocol: string;
  readonly port?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly srcPort?: number;
  readonly l7?: NonNullable<Request["http"]> & { readonly type: "http" };
}
export interface CaseFlow extends FlowQuestion {
  readonly egress: string;
  readonly ingress: string;
  readonly verdict: string;
  readonly l7verdict?: string;
  readonly egressRedirect?: boolean;
  readonly ingressRedirect?: boolean;
  readonly egressBy?: DecidedBy;
  readonly ingressBy?: DecidedBy;
}
/** Nodes are written in two ways. */
type CaseNode = Partial<OracleNode> & { readonly name: string; readonly addresses?: readonly { readonly address: string }[] };
export interface Case {
  readonly name: string;
  readonly engine?: string;
  readonly resources: Omit<Resources, "nodes"> & { readonly nodes?: readonly CaseNode[] };
  readonly policies: readonly PlainObject[];
  readonly flows: readonly CaseFlow[];
}
/** Whose the two ends of a question are. */
export interface Participants {
  readonly source: Participant;
  readonly destination: Participant;
}
export interface Answer {
  readonly egress: Decision;
  readonly ingress: Decision;
  readonly verdict: Verdict;
}

const oracle = new URL("../../../shared/oracle/", import.meta.url);

/** Returns the names of the cases in a folder; none where the vectors are not there. */
export function caseNames(folder: string): string[] {
  const url = new URL(`${folder}/`, oracle);
  if (!existsSync(url)) return [];
  const names = readdirSync(url).filter((name) => name.endsWith(".json"));
  return names.map((name) => name.replace(/\.json$/, ""));
}

export function readCase(folder: string, name: string): Case {
  return JSON.parse(readFileSync(new URL(`${folder}/${name}.json`, oracle), "utf8"));
}

/** Returns the objects of a file with one a line; none where it is not there. */
export function readLines<T>(path: string): T[] {
  const url = new URL(path, oracle);
  if (!existsSync(url)) return [];
  const lines = readFileSync(url, "utf8").trim().split("\n");
  return lines.map((line): T => JSON.parse(line));
}

/**
 * Returns how the program answers questions on a case. All of them must be given: names are told of the addresses in them.
 * `change` takes facts away from the world; `outside`: addresses that are nobody's are outside ones, even beside pods.
 */
export function answersTo(
  { resources, policies }: Pick<Case, "resources" | "policies">,
  flows: readonly FlowQuestion[],
  cni: CniName,
  { change = (world) => world, outside = false }: { change?: (world: World) => World; outside?: boolean } = {},
): {
  set: PolicySet;
  ask: (flow: FlowQuestion) => Answer;
  evaluator: Evaluator;
  world: World;
  endsOf: (flow: FlowQuestion) => Participants;
} {
  const cluster = clusterOf(snapshotText({ ...resources, nodes: resources.nodes?.map(withAddresses) ?? [] }));
  const addressOf = ({ ip, pod }: EndText) => ip ?? resources.pods.find(({ namespace, name }) => pod === `${namespace}/${name}`)!.ip;
  const { entities = {}, fqdns = {} } = resources;
  const names = new NameTable();
  for (const { dst } of flows) names.know(parseAddress(addressOf(dst))!);
  for (const [name, addresses] of Object.entries(fqdns)) for (const address of addresses) names.add(parseAddress(address)!, name);
  const addresses = new AddressTable();
  const parties = new LoggedParties();
  const idOf = (text: string) => {
    const [w0, w1, w2, w3] = wordsOfAddress(parseAddress(text)!);
    const labels = entities[text] === undefined ? undefined : reservedLabels(entities[text]);
    return addresses.intern(w0, w1, w2, w3, parties.intern(labels === undefined ? {} : { labels }));
  };
  const resolver = new EndpointResolver(cluster, addresses, names, parties);
  const set = policySetOf(policies);
  // Records that label ends label the API server too: see cli/simulate.ts.
  const apiServers = cluster.apiServers ?? (Object.keys(entities).length > 0 ? new Set<bigint>() : undefined);
  const world = change({ ...cluster, names, apiServers });
  const evaluator = new Evaluator(set, world, profileOf(cni));
  const participantOf = (end: EndText, from?: Participant): Participant => {
    const found = resolver.endAt(idOf(addressOf(end)), Number.NaN, from).participant;
    return outside && found.type === "unknown" && found.address !== undefined ? { type: "external", address: found.address } : found;
  };
  const endsOf = ({ src, dst }: FlowQuestion): Participants => {
    const source = participantOf(src);
    return { source, destination: participantOf(dst, source) };
  };
  const ask = (flow: FlowQuestion): Answer => {
    const { srcPort = 40000, l7 } = flow;
    const { source, destination } = endsOf(flow);
    const decisions = decide(evaluator, source, destination, { ...flow, sourcePort: srcPort });
    // The vectors tell every header; a request without any has none.
    const requests = l7 === undefined ? [] : [{ http: { headers: {}, ...l7 } }];
    const egress = decideByRequests(decisions.egress, requests);
    const ingress = decideByRequests(decisions.ingress, requests);
    return { egress, ingress, verdict: combine(egress.verdict, ingress.verdict) };
  };
  return { set, ask, evaluator, world, endsOf };
}

function withAddresses({ name, ips, addresses = [], labels }: CaseNode): OracleNode {
  return { name, ips: ips ?? addresses.map(({ address }) => address), ...(labels ? { labels } : {}) };
}

/** The labels that Cilium's flow logs have for roles; a node with the API server is a remote node too. */
function reservedLabels(kinds: string): string[] {
  if (kinds === "kube-apiserver") return ["reserved:kube-apiserver", "reserved:remote-node"];
  return kinds.split(",").map((kind) => `reserved:${kind}`);
}

/** Returns what is wrong with an answer; undefined: nothing. Where a side goes to a proxy unseen, allow and unknown are both right. */
export function faultOf(flow: CaseFlow, answer: Answer): string | undefined {
  const { egress, ingress, verdict, l7verdict, egressRedirect = false, ingressRedirect = false } = flow;
  const sides = [
    { want: egress, got: answer.egress.verdict, isOpen: egressRedirect },
    { want: ingress, got: answer.ingress.verdict, isOpen: ingressRedirect },
    { want: l7verdict ?? verdict, got: answer.verdict, isOpen: verdict === "redirect" && l7verdict === undefined },
  ];
  const isRight = sides.every(({ want, got, isOpen }) => {
    if (want === "n/a") return true;
    return isOpen ? got !== "deny" || l7verdict !== undefined : got === want;
  });
  return isRight ? undefined : `${JSON.stringify(flow)}: got ${sides.map(({ got }) => got).join()}`;
}
