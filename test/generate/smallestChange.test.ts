import { describe, expect, test } from "vitest";
import type { Participant } from "../../src/evaluate/evaluator.ts";
import type { CniName } from "../../src/evaluate/profile.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { directEnds, type Stand } from "../../src/evaluate/stands.ts";
import { type Change, findSmallestChange, type NoChange } from "../../src/generate/change/smallestChange.ts";
import { Workloads } from "../../src/generate/workloads.ts";
import { isIcmp, protocolNumber } from "../../src/net/protocol.ts";
import { adminPolicy, calico, ciliumPolicy, clusterPolicy, networkPolicy } from "../evaluate/dialects.ts";
import { flowOf, SHOP } from "../evaluate/shop.ts";
import { compile, decide, policySetOf } from "../oracle/compiled.ts";

function standOf(participant: Participant): Stand {
  return { participant, address: participant.address, endpoint: { type: "unknown" }, pods: [] };
}

interface Asked {
  readonly policies: readonly string[];
  readonly flow: string;
  readonly cni?: CniName;
}

function changeFor({ policies, flow: text, cni = "generic" }: Asked): Change | NoChange {
  const compiled = compile(SHOP, policies.join("---\n"), { profile: profileOf(cni) });
  const { evaluator, cluster } = compiled;
  const flow = flowOf(text);
  const protocol = protocolNumber(flow.protocol)!;
  const port = isIcmp(protocol) ? (flow.icmpType ?? 0) * 256 : flow.port;
  const source = compiled.participantOf(flow.source);
  const ends = directEnds(standOf(source), standOf(compiled.participantOf(flow.destination, source)), port);
  const packet = { protocol, sourcePort: -1, hasIcmpType: true, requests: () => [] };
  const set = policySetOf(policies.join("---\n"));
  // The set that was compiled is the one that is changed: policies are told apart as objects.
  const own = { ...set, policies: evaluator.policies };
  const change = findSmallestChange([{ ends, packet }], {
    set: own,
    evaluator,
    world: cluster,
    profile: evaluator.profile,
    workloads: new Workloads(cluster.pods, new Map(), true),
  });
  if ("reason" in change) return change;
  // What is proposed does what it says, read from its own text.
  const texts = new Map(policies.map((each) => [titleOf(each), each]));
  for (const { after } of change.objects) texts.set(titleOf(after), after);
  const changed = compile(SHOP, [...texts.values()].join("---\n"), { profile: profileOf(cni) });
  const from = changed.participantOf(flow.source);
  const { egress, ingress } = decide(changed.evaluator, from, changed.participantOf(flow.destination, from), flow);
  const isAllowed = egress.verdict === "allow" && ingress.verdict === "allow";
  expect(isAllowed ? "allow" : "deny").toBe(change.verdict);
  return change;
}

/** Kind and name, as both of our ways of writing have them. */
function titleOf(text: string): string {
  const [object] = policySetOf(text).policies;
  return `${object.ref.kind} ${object.ref.namespace}/${object.ref.name}`;
}

function told(asked: Asked): string[] {
  const change = changeFor(asked);
  if ("reason" in change) return [change.reason];
  return change.objects.flatMap(({ ref, isNew, what }) => what.map((each) => `${isNew ? "new " : ""}${ref.name}: ${each}`));
}

const FROM_WEB = "from: [{podSelector: {matchLabels: {app: web}}}]";

describe("what is denied is allowed by the smallest edit", () => {
  test.each<[string, Asked, string[]]>([
    [
      "a port more in the rule for the peer",
      {
        policies: [networkPolicy("shop/api", `podSelector: {matchLabels: {app: api}}, ingress: [{${FROM_WEB}, ports: [{port: 80}]}]`)],
        flow: "shop/web > shop/api TCP/9090",
      },
      ["api: add 9090/TCP to ingress[0]"],
    ],
    [
      "a peer more in the rule for the port",
      {
        policies: [networkPolicy("shop/api", `podSelector: {matchLabels: {app: api}}, ingress: [{${FROM_WEB}, ports: [{port: 9090}]}]`)],
        flow: "data/db > shop/api TCP/9090",
      },
      ["api: add data/pod/db to ingress[0]"],
    ],
    [
      "a rule more where neither is there",
      {
        policies: [networkPolicy("shop/api", `podSelector: {matchLabels: {app: api}}, ingress: [{${FROM_WEB}, ports: [{port: 80}]}]`)],
        flow: "data/db > shop/api TCP/9090",
      },
      ["api: add an ingress rule that allows data/pod/db 9090/TCP"],
    ],
    [
      "a rule of its own before one that is open on every port",
      {
        policies: [networkPolicy("shop/api", `podSelector: {matchLabels: {app: api}}, ingress: [{${FROM_WEB}}]`)],
        flow: "data/db > shop/api TCP/9090",
      },
      ["api: add an ingress rule that allows data/pod/db 9090/TCP"],
    ],
    [
      "a policy of its own rather than opening a whole namespace",
      { policies: [networkPolicy("shop/deny", "podSelector: {}")], flow: "data/db > shop/api TCP/9090" },
      ["new api-allow-from-db: a new policy that allows data/pod/db 9090/TCP"],
    ],
    [
      "both sides",
      {
        policies: [
          networkPolicy("shop/api", "podSelector: {matchLabels: {app: api}}"),
          networkPolicy("data/db", "podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]"),
        ],
        flow: "data/db > shop/api TCP/9090",
      },
      ["db: add an egress rule that allows shop/pod/api 9090/TCP", "api: add an ingress rule that allows data/pod/db 9090/TCP"],
    ],
    [
      "the misspelt label of a peer that selects nothing",
      {
        policies: [
          networkPolicy(
            "shop/api",
            "podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: wep}}}]}]",
          ),
        ],
        flow: "shop/web > shop/api TCP/9090",
      },
      ["api: let ingress[0].from[0] want app=web: it selects no pod as it is"],
    ],
    [
      "the misspelt label of a policy that selects nothing",
      {
        policies: [
          networkPolicy("shop/deny", "podSelector: {}"),
          networkPolicy("shop/api", "podSelector: {matchLabels: {app: apii}}, ingress: [{}]"),
        ],
        flow: "shop/web > shop/api TCP/9090",
      },
      ["api: let its podSelector want app=api: it selects no pod as it is"],
    ],
    [
      "no ports, where a NetworkPolicy has no word for the protocol",
      {
        policies: [networkPolicy("shop/api", `podSelector: {matchLabels: {app: api}}, ingress: [{${FROM_WEB}, ports: [{port: 80}]}]`)],
        flow: "shop/web > shop/api ICMP/8",
      },
      ["api: take the ports off ingress[0]"],
    ],
    [
      "the denying rule of an admin policy is made narrower",
      {
        policies: [
          adminPolicy(
            "guard",
            "priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: red}}}, {namespaces: {matchLabels: {team: blue}}}]}]",
          ),
        ],
        flow: "data/db > shop/api TCP/9090",
      },
      ["guard: take ingress[0].from[1] off ingress[0]"],
    ],
    [
      "a range of ports is cut in two",
      {
        policies: [
          clusterPolicy(
            "guard",
            "tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 9000, end: 9100}}}}]}]",
          ),
        ],
        flow: "data/db > shop/api TCP/9090",
      },
      ["guard: take port 9090 off ingress[0]"],
    ],
    [
      "a deny of Cilium excepts the peer",
      {
        policies: [
          ciliumPolicy("shop/api", "endpointSelector: {matchLabels: {app: api}}, ingress: [{}], ingressDeny: [{fromEndpoints: [{}]}]"),
        ],
        flow: "shop/web > shop/api TCP/9090",
        cni: "cilium",
      },
      ["api: except shop/pod/web from ingressDeny[0]", "api: add an ingress rule that allows shop/pod/web 9090/TCP"],
    ],
    [
      "Calico's rules have an order",
      {
        policies: [calico("GlobalNetworkPolicy", "all", "selector: all(), types: [Ingress], ingress: [{action: Deny}]")],
        flow: "shop/web > shop/api TCP/9090",
        cni: "calico",
      },
      ["all: put a rule that allows shop/pod/web 9090/TCP in front of ingress[0]"],
    ],
  ])("%s", (_what, asked, expected) => {
    expect(told(asked)).toEqual(expected);
  });
});

describe("what is allowed is denied by the smallest edit", () => {
  test.each<[string, Asked, string[]]>([
    [
      "the peer goes, where there are others",
      {
        policies: [
          networkPolicy(
            "shop/api",
            "podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {matchLabels: {team: blue}}}]}]",
          ),
        ],
        flow: "shop/web > shop/api TCP/9090",
      },
      ["api: take ingress[0].from[0] off ingress[0]"],
    ],
    [
      "every rule goes that allows it",
      {
        policies: [
          networkPolicy(
            "shop/api",
            `podSelector: {matchLabels: {app: api}}, ingress: [{${FROM_WEB}}, {${FROM_WEB}, ports: [{port: 9090}]}]`,
          ),
        ],
        flow: "shop/web > shop/api TCP/9090",
      },
      ["api: remove ingress[0]", "api: remove ingress[0]"],
    ],
    [
      "a policy comes where none isolates",
      { policies: [networkPolicy("data/other", "podSelector: {}")], flow: "shop/web > shop/api TCP/9090" },
      ["new api-deny-from-web: a new policy that isolates it for ingress"],
    ],
    [
      "with a rule for it alone, where the plugin's own policies have such",
      {
        policies: [ciliumPolicy("data/other", "endpointSelector: {}, ingress: [{}]")],
        flow: "shop/web > shop/api TCP/9090",
        cni: "cilium",
      },
      ["new api-deny-from-web: a new policy that denies shop/pod/web 9090/TCP"],
    ],
  ])("%s", (_what, asked, expected) => {
    expect(told(asked)).toEqual(expected);
  });
});

describe("no change is proposed where there is none", () => {
  const none = [networkPolicy("shop/other", "podSelector: {matchLabels: {app: none}}")];
  test.each<[string, Asked, string]>([
    ["a pod and itself", { policies: none, flow: "shop/web > shop/web TCP/80" }, "always-allowed"],
    ["its own node", { policies: none, flow: "n1 > shop/web TCP/80" }, "always-allowed"],
    ["a node and the outside", { policies: none, flow: "n1 > 203.0.113.1 TCP/80" }, "not-selectable"],
    ["what the plugin drops", { policies: none, flow: "shop/web > shop/api UDP/4789", cni: "calico" }, "dropped-by-plugin"],
    [
      "an unknown verdict",
      {
        policies: [
          ciliumPolicy(
            "shop/api",
            "endpointSelector: {matchLabels: {app: api}}, ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]",
          ),
        ],
        flow: "shop/web > shop/api TCP/80",
        cni: "cilium",
      },
      "verdict-unknown",
    ],
  ])("%s", (_what, asked, reason) => {
    expect(told(asked)).toEqual([reason]);
  });
});
