import { describe, expect, test } from "vitest";
import { AddressClasses } from "../../src/evaluate/addressClasses.ts";
import {
  ANYTHING,
  Identities,
  OUTSIDE,
  OUTSIDE_API_SERVER,
  OUTSIDE_PERHAPS_API_SERVER,
  reservedIdentity,
} from "../../src/evaluate/identities.ts";
import { NamesOfAddresses } from "../../src/evaluate/nameMatch.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { ServiceBackends } from "../../src/evaluate/serviceBackends.ts";
import { forEachAtom, NOTHING, TermCompiler, termTruth } from "../../src/evaluate/terms.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type { AddressSet, Entity, Expression, NamespaceMatch, PeerTerm, PodMatch } from "../../src/policy/model.ts";
import { clusterOf, snapshotText } from "../oracle/compiled.ts";
import { SHOP } from "./shop.ts";

const cluster = clusterOf(snapshotText(SHOP));
const ref = { apiVersion: "projectcalico.org/v3", kind: "NetworkSet", name: "" };
const SETS: readonly AddressSet[] = [
  { ref: { ...ref, namespace: "shop", name: "partners" }, labels: { role: "partner" }, prefixes: [parsePrefix("8.0.0.0/24")!] },
  { ref: { ...ref, namespace: "bare", name: "bare" }, labels: { role: "partner" }, prefixes: [parsePrefix("9.0.0.0/24")!] },
  { ref: { ...ref, name: "threats" }, labels: { role: "threat" }, prefixes: [parsePrefix("8.0.0.9/32")!, parsePrefix("10.0.0.3/32")!] },
];

/**
 * Returns who satisfies a term: pods by name; `n1` to others, `own` to its own pods, `perhaps` where that is not known; outside
 * addresses; `?` is a stranger at 10.0.0.77, `nowhere` one without any address. `~` in front: perhaps.
 */
function holders(
  peer: PeerTerm,
  { cni = "calico", apiServer = "no" }: { cni?: CniName; apiServer?: "no" | "yes" | "unknown" } = {},
): string {
  const identities = new Identities({
    ...cluster,
    serviceAccounts: new Map([["shop/default", { tier: "front" }]]),
    isApiServer: () => (apiServer === "unknown" ? "unknown" : apiServer === "yes"),
    selectsHostPods: false,
    outsideNames: [],
    tellsNodesApart: true,
  });
  const compiler = new TermCompiler({
    identities,
    profile: profileOf(cni),
    sets: SETS,
    names: new NamesOfAddresses({ entries: () => [[parseAddress("8.0.0.1")!, ["a.example"]]] }),
    services: new ServiceBackends(cluster.services, cluster.serviceIndex),
    namespaces: cluster.namespaces,
  });
  const term = compiler.compile(peer);
  const addresses = new AddressClasses(compiler.blocks.list);
  const [node] = cluster.nodes;
  const outside = apiServer === "no" ? OUTSIDE : apiServer === "yes" ? OUTSIDE_API_SERVER : OUTSIDE_PERHAPS_API_SERVER;
  const parties: readonly (readonly [string, number, string?])[] = [
    ...cluster.pods
      .filter((pod) => !pod.hostNetwork)
      .map((pod) => [pod.name, identities.numberOf(pod)!, SHOP.pods.find(({ name }) => name === pod.name)!.ip] as const),
    ["n1", identities.numberOfNode(node, "other", apiServer === "unknown" ? "unknown" : apiServer === "yes"), "192.168.0.1"],
    ["own", identities.numberOfNode(node, "own", apiServer === "unknown" ? "unknown" : apiServer === "yes"), "192.168.0.1"],
    ["perhaps", identities.numberOfNode(node, "unsure", apiServer === "unknown" ? "unknown" : apiServer === "yes"), "192.168.0.1"],
    ["8.0.0.1", outside, "8.0.0.1"],
    ["8.0.0.9", outside, "8.0.0.9"],
    ["9.0.0.1", outside, "9.0.0.1"],
    ["2001:db8::1", outside, "2001:db8::1"],
    ["health", reservedIdentity("health")!, "10.0.0.88"],
    ["?", ANYTHING, "10.0.0.77"],
    ["nowhere", ANYTHING],
  ];
  return parties
    .flatMap(([name, identity, ip]) => {
      const addressClass = ip === undefined ? -1 : addresses.classOf(parseAddress(ip)!);
      const truth = termTruth(term, identities, addresses, { identity, addressClass });
      return truth === false ? [] : [truth === true ? name : `~${name}`];
    })
    .join(" ");
}

const labels = (written: Readonly<Record<string, string>>) => ({
  requirements: Object.entries(written).map(([key, value]) => ({ key, operator: "In" as const, values: [value] })),
});
const match = (
  pods: Readonly<Record<string, string>>,
  namespaces: NamespaceMatch = { selector: labels({}) },
  where?: Expression,
): PodMatch => ({
  namespaces,
  pods: labels(pods),
  ...(where ? { where } : {}),
});
const pods = (...args: Parameters<typeof match>): PeerTerm => ({ kind: "pods", match: match(...args) });
const block = (text: string, ...except: string[]): PeerTerm => ({
  kind: "prefix",
  prefix: parsePrefix(text)!,
  except: except.map((each) => parsePrefix(each)!),
});
const not = (term: PeerTerm): PeerTerm => ({ kind: "not", term });
const all = (...terms: PeerTerm[]): PeerTerm => ({ kind: "all", terms });
const some = (...terms: PeerTerm[]): PeerTerm => ({ kind: "some", terms });
const entity = (...entities: Entity[]): PeerTerm => ({ kind: "entities", entities });
const sets = (scope: "namespaced" | "global" | "any", ...args: Parameters<typeof match>): PeerTerm => ({
  kind: "sets",
  match: { scope, match: match(...args) },
  except: [],
});
const WEB = { app: "web" };
const RED = { selector: labels({ team: "red" }) };
const OUTSIDE_ONES = "8.0.0.1 8.0.0.9 9.0.0.1 2001:db8::1";
const PODS = "web api db x";
const NODES = "n1 own perhaps";
/** Of whom nothing is known may be a pod. */
const STRANGERS = "~? ~nowhere";

describe("who satisfies a term (Calico: prefixes match everybody's address)", () => {
  test.each<[string, PeerTerm, string]>([
    ["pods by labels, of every namespace", pods(WEB), `web x ${STRANGERS}`],
    ["in a namespace by name", pods({}, { name: "shop" }), `web api ${STRANGERS}`],
    ["by a label of it; `bare` has no Namespace object", pods({}, RED), `web api ~x ${STRANGERS}`],
    ["with a condition", pods({}, { name: "shop" }, { op: "text", of: "own", key: "app", how: "ends", text: "i" }), `api ${STRANGERS}`],
    [
      "with one on their account's labels, known for shop",
      pods({}, undefined, { op: "test", of: "serviceAccount", requirement: { key: "tier", operator: "In", values: ["front"] } }),
      `web api ${STRANGERS}`,
    ],
    ["a block", block("10.0.0.0/30"), "web api db ~nowhere"],
    ["a block less another", block("10.0.0.0/24", "10.0.0.2/31"), "web x health ? ~nowhere"],
    ["every address of IPv4", { kind: "family", family: 4 }, `${PODS} ${NODES} 8.0.0.1 8.0.0.9 9.0.0.1 health ? ~nowhere`],
    ["every address of IPv6", { kind: "family", family: 6 }, "2001:db8::1 ~nowhere"],
    ["nodes", { kind: "nodes", selector: labels({}) }, `${NODES} ${STRANGERS}`],
    ["nodes by labels", { kind: "nodes", selector: labels({ zone: "a" }) }, STRANGERS],
    ["sets of a namespace", sets("namespaced", { role: "partner" }, { name: "shop" }), "8.0.0.1 8.0.0.9 ~nowhere"],
    ["sets of namespaces by label; what `bare`'s labels are is open", sets("namespaced", {}, RED), "8.0.0.1 8.0.0.9 ~9.0.0.1 ~nowhere"],
    ["sets without namespace, a pod's address in one", sets("global", { role: "threat" }), "db 8.0.0.9 ~nowhere"],
    ["all sets", sets("any", {}), "db 8.0.0.1 8.0.0.9 9.0.0.1 ~nowhere"],
    ["no set", sets("any", { role: "none" }), "~nowhere"],
    ["a set by name", { kind: "sets", match: { names: ["threats"] }, except: [] }, "db 8.0.0.9 ~nowhere"],
    ["a set less a block", { kind: "sets", match: { names: ["threats"] }, except: [parsePrefix("8.0.0.0/8")!] }, "db ~nowhere"],
    [
      "a name; an address that nobody knows a name of may be it",
      { kind: "names", patterns: [{ text: "a.example", regex: "a\\.example" }] },
      "8.0.0.1 ~8.0.0.9 ~9.0.0.1 ~2001:db8::1 ~? ~nowhere",
    ],
    ["another name", { kind: "names", patterns: [{ text: "b", regex: "b" }] }, "~8.0.0.9 ~9.0.0.1 ~2001:db8::1 ~? ~nowhere"],
    ["neither pod", not(some(pods(WEB), pods({ app: "api" }))), `db ${NODES} ${OUTSIDE_ONES} health ${STRANGERS}`],
    ["not a block: where the address is not known, perhaps", not(block("10.0.0.0/8")), `${NODES} ${OUTSIDE_ONES} ~nowhere`],
    ["a pod in a block", all(pods(WEB), block("10.0.0.1/32")), "web ~nowhere"],
    ["pods or a block", some(pods(WEB), block("8.0.0.0/8")), `web x 8.0.0.1 8.0.0.9 ${STRANGERS}`],
    ["all of nothing", all(), `${PODS} ${NODES} ${OUTSIDE_ONES} health ? nowhere`],
    ["some of nothing", some(), ""],
    ["not everything", not(all()), ""],
  ])("%s", (_what, peer, expected) => expect(holders(peer)).toBe(expected));

  test("De Morgan, whoever it is", () => {
    const [a, b] = [pods({}, RED), block("10.0.0.0/30")];
    expect(holders(not(all(a, b)))).toBe(holders(some(not(a), not(b))));
    expect(holders(not(some(a, b)))).toBe(holders(all(not(a), not(b))));
  });
});

describe("Cilium: prefixes and names match outside addresses only", () => {
  test.each<[string, PeerTerm, string]>([
    ["a block over pods and nodes", block("0.0.0.0/0"), "8.0.0.1 8.0.0.9 9.0.0.1 ~? ~nowhere"],
    ["a set", { kind: "sets", match: { names: ["threats"] }, except: [] }, "8.0.0.9 ~nowhere"],
  ])("%s", (_what, peer, expected) => expect(holders(peer, { cni: "cilium" })).toBe(expected));
});

describe("entities", () => {
  test.each<[Entity, string]>([
    ["all", `${PODS} ${NODES} ${OUTSIDE_ONES} health ? nowhere`],
    ["none", ""],
    ["world", `${OUTSIDE_ONES} ${STRANGERS}`],
    ["world-ipv4", "8.0.0.1 8.0.0.9 9.0.0.1 ~? ~nowhere"],
    ["world-ipv6", "2001:db8::1 ~nowhere"],
    ["cluster", `${PODS} ${NODES} health ${STRANGERS}`],
    ["host", `own ~perhaps ${STRANGERS}`],
    ["remote-node", `n1 ~perhaps ${STRANGERS}`],
    ["kube-apiserver", STRANGERS],
    ["health", `health ${STRANGERS}`],
    ["ingress", STRANGERS],
  ])("%s", (name, expected) => expect(holders(entity(name), { cni: "cilium" })).toBe(expected));

  test("the API server, on a node and outside; an outside one is of the cluster", () => {
    const yes = { cni: "cilium", apiServer: "yes" } as const;
    expect(holders(entity("kube-apiserver"), yes)).toBe(`${NODES} ${OUTSIDE_ONES} ${STRANGERS}`);
    expect(holders(entity("cluster"), yes)).toBe(`${PODS} ${NODES} ${OUTSIDE_ONES} health ${STRANGERS}`);
    expect(holders(entity("world"), yes)).toBe(`${OUTSIDE_ONES} ${STRANGERS}`);
  });

  test("where the API server is not known, any node and any outside address may be it", () => {
    const open = { cni: "cilium", apiServer: "unknown" } as const;
    expect(holders(entity("kube-apiserver"), open)).toBe(`~n1 ~own ~perhaps ~8.0.0.1 ~8.0.0.9 ~9.0.0.1 ~2001:db8::1 ${STRANGERS}`);
  });
});

test("atoms of a term, those inside others included; the unknown has none", () => {
  const atoms: string[] = [];
  forEachAtom(
    {
      op: "all",
      terms: [
        { op: "selection", number: 3 },
        { op: "not", term: { op: "some", terms: [{ op: "block", number: 1 }, { op: "unknown" }, NOTHING] } },
      ],
    },
    (op, number) => atoms.push(`${op} ${number}`),
  );
  expect(atoms).toEqual(["selection 3", "block 1"]);
});
