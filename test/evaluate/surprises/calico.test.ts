import { describe, expect, test } from "vitest";
import type { Resources } from "../../oracle/obviousEvaluator.ts";
import {
  answersOf,
  calico,
  global,
  globalNetworkSet,
  networkSet,
  np,
  probesWithoutRow,
  problemsOf,
  type Row,
  staged,
  stagedGlobal,
  stagedKubernetes,
  tier,
} from "./table.ts";

/* Calico's kinds, and NetworkPolicy among them: shared/semantics.md and oracle/calico. */

const HTTP = { name: "http", protocol: "TCP" };
/** The namespaces and pods of the probes in oracle/calico. */
const WORLD: Resources = {
  namespaces: [
    { name: "shop", labels: { env: "prod", team: "retail" } },
    { name: "data", labels: { env: "dev" } },
  ],
  serviceAccounts: [
    { namespace: "shop", name: "sa-web", labels: { role: "front" } },
    { namespace: "shop", name: "sa-api", labels: { role: "back" } },
    { namespace: "data", name: "sa-web", labels: {} },
    { namespace: "data", name: "sa-api", labels: { role: "front" } },
  ],
  pods: [
    {
      namespace: "shop",
      name: "web",
      labels: { app: "web", tier: "front" },
      serviceAccount: "sa-web",
      ip: "10.244.0.10",
      ports: [{ ...HTTP, containerPort: 8080 }],
    },
    {
      namespace: "shop",
      name: "db",
      labels: { app: "db", env: "prod" },
      ip: "10.244.0.11",
      ports: [
        { ...HTTP, containerPort: 80 },
        { name: "dns", containerPort: 53, protocol: "UDP" },
      ],
    },
    {
      namespace: "shop",
      name: "api",
      labels: { app: "api" },
      serviceAccount: "sa-api",
      ip: "10.244.0.12",
      ports: [{ name: "dns", containerPort: 53, protocol: "TCP" }],
    },
    { namespace: "data", name: "web", labels: { app: "web" }, serviceAccount: "sa-web", ip: "10.244.1.13", ports: [] },
    {
      namespace: "data",
      name: "db",
      labels: { app: "db", env: "dev", canary: "true" },
      ip: "10.244.1.14",
      ports: [{ ...HTTP, containerPort: 8080 }],
    },
    { namespace: "data", name: "api", labels: { app: "api", tier: "front" }, serviceAccount: "sa-api", ip: "10.244.1.15", ports: [] },
  ],
};

const DB = "selector: app == 'db'";
const WEB = "selector: app == 'web'";
const allow = (...match: string[]) => `{${["action: Allow", ...match].join(", ")}}`;
const deny = (...match: string[]) => `{${["action: Deny", ...match].join(", ")}}`;
const pass = (...match: string[]) => `{${["action: Pass", ...match].join(", ")}}`;
const log = (...match: string[]) => `{${["action: Log", ...match].join(", ")}}`;
const from = (selector: string, ...more: string[]) => `source: {${[`selector: "${selector}"`, ...more].join(", ")}}`;
const to = (selector: string, ...more: string[]) => `destination: {${[`selector: "${selector}"`, ...more].join(", ")}}`;
const ingress = (...rules: string[]) => `ingress: [${rules.join(", ")}]`;
const egress = (...rules: string[]) => `egress: [${rules.join(", ")}]`;
const INGRESS = "types: [Ingress]";
const EGRESS = "types: [Egress]";
/** A NetworkPolicy of Calico in namespace shop on all its pods; a global one. */
const p = (...spec: string[]) => [calico("shop/p", ...spec)];
const g = (...spec: string[]) => [global("p", ...spec)];
const G_EXT = globalNetworkSet("g-ext {kind: ext}", "nets: [192.0.2.0/24]");
const N_EXT = networkSet("shop/n-ext {kind: ext}", "nets: [198.51.100.0/25]");
const IN_G_EXT = "192.0.2.7";
const IN_N_EXT = "198.51.100.7";

const tiers: Row[] = [
  [
    "a tier whose policies do not select the pod is skipped, its default action too [tier-not-selecting-pod-is-skipped]",
    [tier("sec", "order: 10"), global("a", "tier: sec", DB, ingress(deny()))],
    { "shop/api > shop/web TCP/80": "allow | allow no-policy", "shop/api > shop/db TCP/80": "allow | deny rule-deny a ingress[0]" },
  ],
  [
    "a tier counts only for the directions that a policy of it governs [tier-direction-not-governed]",
    [
      tier("sec", "order: 10"),
      global("a", "tier: sec", INGRESS, ingress(pass())),
      calico("shop/p", EGRESS, egress(allow(to("app == 'db'")))),
    ],
    {
      "shop/web > shop/db TCP/80": "allow rule p | allow default a",
      "shop/web > shop/api TCP/80": "deny tier-default p | allow default a",
      "data/web > data/api TCP/80": "allow no-policy | allow default a",
    },
  ],
  [
    "a tier with staged policies only is skipped [tier-only-staged-is-skipped]",
    [tier("sec", "order: 10"), stagedGlobal("a", "tier: sec", ingress(deny())), calico("shop/p", ingress(allow(from("app == 'web'"))))],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule p",
      "shop/api > shop/db TCP/80": "allow | deny tier-default p",
      "shop/api > data/db TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "the end of a tier that counts denies: later tiers are not asked [tier-default-deny]",
    [tier("sec", "order: 10"), global("a", "tier: sec", DB, ingress(allow(from("app == 'web'")))), global("z", ingress(allow()))],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule a",
      "shop/api > shop/db TCP/80": "allow | deny tier-default a",
      "shop/api > shop/web TCP/80": "allow | allow rule z",
    },
  ],
  [
    "unless its defaultAction is Pass [tier-default-pass]",
    [
      tier("sec", "order: 10", "defaultAction: Pass"),
      global("a", "tier: sec", DB, ingress(deny(from("app == 'web'")))),
      global("z", ingress(allow(from("app in {'web','api'}")))),
    ],
    {
      "shop/web > shop/db TCP/80": "allow | deny rule-deny a",
      "shop/api > shop/db TCP/80": "allow | allow rule z",
      "data/db > shop/db TCP/80": "allow | deny tier-default z",
    },
  ],
  [
    "Pass in the last tier is allowed by the namespace's profile [pass-last-tier-goes-to-profile]",
    p("types: [Ingress, Egress]", ingress(pass()), egress(pass())),
    { "shop/web > shop/db TCP/80": "allow default p | allow default p", "8.8.8.8 > shop/db TCP/80": "allow | allow default p" },
  ],
  [
    "Pass skips the rest of its tier [pass-skips-rest-of-tier]",
    [
      tier("sec", "order: 10"),
      global("a", "tier: sec", "order: 1", ingress(pass(from("app == 'web'")))),
      global("b", "tier: sec", "order: 2", ingress(deny(from("app == 'web'")), allow())),
    ],
    { "shop/web > shop/db TCP/80": "allow | allow default a", "shop/api > shop/db TCP/80": "allow | allow rule b ingress[1]" },
  ],
  [
    "and the next tier that counts may deny [pass-then-default-tier-denies]",
    [tier("sec", "order: 10"), global("a", "tier: sec", ingress(pass())), calico("shop/p", ingress(allow(from("app == 'web'"))))],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule p",
      "shop/api > shop/db TCP/80": "allow | deny tier-default p",
      "shop/api > data/db TCP/80": "allow | allow default a",
    },
  ],
  [
    "a tier may come after `default` [tier-after-default]",
    [
      tier("late", "order: 2000000"),
      global("l", "tier: late", ingress(deny())),
      global("d", DB, ingress(pass(from("app == 'web'")), allow(from("app == 'api'")))),
    ],
    {
      "shop/web > shop/db TCP/80": "allow | deny rule-deny l",
      "shop/api > shop/db TCP/80": "allow | allow rule d",
      "shop/db > data/db TCP/80": "allow | deny tier-default d",
      "shop/db > shop/web TCP/80": "allow | deny rule-deny l",
    },
  ],
  [
    "tiers of one order go by name [tier-same-order-by-name]",
    [
      tier("b", "order: 5"),
      tier("a", "order: 5"),
      global("pa", "tier: a", ingress(allow(from("app == 'web'")), pass())),
      global("pb", "tier: b", ingress(deny())),
    ],
    { "shop/web > shop/db TCP/80": "allow | allow rule pa", "shop/api > shop/db TCP/80": "allow | deny rule-deny pb" },
  ],
  [
    "a tier without order has 1000000, that of `default`: the name decides [tier-nil-order-is-1000000]",
    [
      tier("aaa"),
      tier("zzz"),
      global("a", "tier: aaa", DB, ingress(pass(), deny())),
      global("z", "tier: zzz", DB, ingress(allow())),
      global("d", DB, ingress(deny(from("app == 'web'")), pass())),
    ],
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny d", "shop/api > shop/db TCP/80": "allow | allow rule z" },
  ],
  [
    "which is before 2000000 [tier-nil-order-before-2000000]",
    [
      tier("nil"),
      tier("late", "order: 2000000"),
      global("nil-b", "tier: nil", DB, ingress(pass(), deny())),
      global("l", "tier: late", DB, ingress(allow(from("app == 'web'")), deny())),
      global("d", DB, "order: 1", ingress(deny("protocol: UDP"), pass())),
      global("nil-a", "tier: nil", "order: 1", DB, ingress(deny(from("app == 'api'")))),
    ],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule l",
      "shop/web > shop/db UDP/53": "allow | deny rule-deny d",
      "shop/api > shop/db TCP/80": "allow | deny rule-deny nil-a",
      "data/db > shop/db TCP/80": "allow | deny rule-deny l ingress[1]",
    },
  ],
];

const orders: Row[] = [
  [
    "the lower order is asked first [order-lower-first]",
    [global("a", "order: 20", DB, ingress(allow())), global("b", "order: 10", DB, ingress(deny(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny b", "shop/api > shop/db TCP/80": "allow | allow rule a" },
  ],
  [
    "orders may be negative [order-negative]",
    [global("a", "order: 0", DB, ingress(allow())), global("b", "order: -1", DB, ingress(deny(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny b" },
  ],
  [
    "a policy without order is last, after any number [order-nil-is-last]",
    [global("a", DB, ingress(deny())), global("b", "order: 99999999", DB, ingress(allow(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | allow rule b", "shop/api > shop/db TCP/80": "allow | deny rule-deny a" },
  ],
  [
    "ties go by name [order-tie-by-name]",
    [global("b", "order: 10", DB, ingress(allow())), global("a", "order: 10", DB, ingress(deny(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny a" },
  ],
  [
    "by name before kind [order-tie-name-before-kind]",
    [global("b", "order: 10", DB, ingress(deny())), calico("shop/a", "order: 10", DB, ingress(allow(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | allow rule a", "shop/api > shop/db TCP/80": "allow | deny rule-deny b" },
  ],
  [
    "of one name the global one is first [order-tie-same-name-global-first]",
    [global("a", "order: 10", DB, ingress(deny(from("app == 'web'")))), calico("shop/a", "order: 10", DB, ingress(allow()))],
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny a", "shop/api > shop/db TCP/80": "allow | allow rule a" },
  ],
  [
    "no match in a policy goes on to the next one [two-policies-first-match-wins]",
    [
      calico("shop/a", "order: 1", ingress(allow("protocol: TCP", "destination: {ports: [8080]}"))),
      calico("shop/b", "order: 2", ingress(deny(from("app == 'web'")), allow())),
    ],
    {
      "shop/web > shop/db TCP/8080": "allow | allow rule a",
      "shop/web > shop/db TCP/80": "allow | deny rule-deny b",
      "shop/api > shop/db TCP/80": "allow | allow rule b",
    },
  ],
  [
    "rules are asked in their order [rule-order-within-policy]",
    [calico("shop/a", ingress(allow(from("app == 'web'")), deny(from("all()", "namespaceSelector: all()")), allow()))],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule a ingress[0]",
      "data/web > shop/db TCP/80": "allow | deny rule-deny a ingress[1]",
      "8.8.8.8 > shop/db TCP/80": "allow | allow rule a ingress[2]",
    },
  ],
  [
    "Log decides nothing [log-continues]",
    p(ingress(log(), log(from("app == 'web'")), allow(from("app == 'web'")))),
    { "shop/web > shop/db TCP/80": "allow | allow rule p ingress[2]", "shop/api > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "a policy that only logs isolates [log-only-policy-denies]",
    p(ingress(log())),
    { "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
];

const kubernetes: Row[] = [
  [
    "a Calico policy of a later order reopens what NetworkPolicy isolates [k8s-isolation-reopened-by-later-calico]",
    [np("shop/k", "podSelector: {}", "policyTypes: [Ingress]"), global("c", "order: 5000", ingress(allow(from("app == 'web'"))))],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule c",
      "data/web > shop/db TCP/80": "allow | allow rule c",
      "shop/api > shop/db TCP/80": "allow | deny tier-default k c",
    },
  ],
  [
    "NetworkPolicies have order 1000: a Calico deny after them comes too late [k8s-order-1000-calico-deny-after]",
    [np("shop/k", "podSelector: {}", "ingress: [{}]"), global("c", "order: 1001", DB, ingress(deny(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | allow rule k", "data/web > data/db TCP/80": "allow | deny rule-deny c" },
  ],
  [
    "one before them wins [k8s-order-1000-calico-deny-before]",
    [np("shop/k", "podSelector: {}", "ingress: [{}]"), global("c", "order: 999", DB, ingress(deny(from("app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny c", "shop/api > shop/db TCP/80": "allow | allow rule k" },
  ],
  [
    "at 1000 itself the name decides [k8s-tie-at-1000]",
    [
      np("shop/m", "podSelector: {}", "ingress: [{}]"),
      global("a", "order: 1000", DB, ingress(deny(from("app == 'web'")))),
      global("z", "order: 1000", DB, ingress(deny())),
    ],
    {
      "shop/web > shop/db TCP/80": "allow | deny rule-deny a",
      "shop/api > shop/db TCP/80": "allow | allow rule m",
      "shop/api > data/db TCP/80": "allow | deny rule-deny z",
    },
  ],
  [
    "they see no network sets, not even by an empty namespaceSelector [k8s-does-not-see-network-sets]",
    [G_EXT, N_EXT, np("shop/k", "podSelector: {}", "policyTypes: [Egress]", "egress: [{to: [{namespaceSelector: {}}]}]")],
    {
      "shop/web > data/db TCP/80": "allow rule k | allow",
      [`shop/web > ${IN_G_EXT} TCP/80`]: "deny isolated k | allow",
      [`shop/web > ${IN_N_EXT} TCP/80`]: "deny isolated k | allow",
    },
  ],
  [
    "an empty podSelector as peer is their own namespace [k8s-empty-podselector-peer]",
    [np("shop/k", "podSelector: {}", "policyTypes: [Ingress]", "ingress: [{from: [{podSelector: {}}]}]")],
    { "shop/web > shop/db TCP/80": "allow | allow rule k", "data/web > shop/db TCP/80": "allow | deny isolated k" },
  ],
];

const types: Row[] = [
  [
    "types missing, no rules: Ingress only [types-missing-no-rules]",
    p(),
    { "data/web > shop/db TCP/80": "allow | deny tier-default p", "shop/db > data/web TCP/80": "allow no-policy | allow" },
  ],
  [
    "so for a policy of a selector alone [empty-policy-ingress-only]",
    p(DB),
    {
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "shop/db > data/web TCP/80": "allow no-policy | allow",
      "shop/db > shop/web TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "types missing, egress rules only: Egress only [types-missing-egress-only]",
    p(egress(allow())),
    { "data/web > shop/db TCP/80": "allow | allow no-policy", "shop/db > data/web TCP/80": "allow rule p | allow" },
  ],
  [
    "`ingress: []` beside egress rules counts as missing [types-missing-empty-ingress-list-with-egress]",
    p("ingress: []", egress(allow(to("app == 'db'")))),
    {
      "data/web > shop/db TCP/80": "allow | allow no-policy",
      "shop/web > shop/db TCP/80": "allow rule p | allow",
      "shop/web > shop/api TCP/80": "deny tier-default p | allow no-policy",
    },
  ],
  [
    "types missing, rules of both: both [types-missing-both]",
    p(ingress(allow(from("app == 'web'"))), egress(allow(to("app == 'db'")))),
    {
      "shop/web > shop/db TCP/80": "allow rule p | allow rule p",
      "shop/api > shop/web TCP/80": "deny tier-default p | deny tier-default p",
    },
  ],
  [
    "types Ingress ignores egress rules [types-ingress-but-egress-rules]",
    p(INGRESS, ingress(allow()), egress(deny())),
    { "shop/web > data/db TCP/80": "allow no-policy | allow", "data/web > shop/db TCP/80": "allow | allow rule p" },
  ],
  [
    "types Egress without rules denies egress [types-both-egress-rules-missing]",
    p("types: [Ingress, Egress]", ingress(allow())),
    { "shop/web > data/db TCP/80": "deny tier-default p | allow", "data/web > shop/db TCP/80": "allow | allow rule p" },
  ],
  [
    "doNotTrack policies do nothing for pods [donottrack-policy-ignored-for-pods]",
    g("doNotTrack: true", "applyOnForward: true", "selector: all()", ingress(deny()), egress(deny()), "types: [Ingress, Egress]"),
    { "shop/web > shop/db TCP/80": "allow no-policy | allow no-policy" },
  ],
  [
    "preDNAT policies do nothing for pods [prednat-policy-ignored-for-pods]",
    g("preDNAT: true", "applyOnForward: true", "selector: all()", ingress(deny()), INGRESS),
    { "shop/web > shop/db TCP/80": "allow no-policy | allow no-policy" },
  ],
  [
    "applyOnForward changes nothing for pods [applyonforward-still-applies]",
    g("applyOnForward: true", DB, ingress(deny(from("app == 'web'")), allow()), INGRESS),
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny p", "shop/api > shop/db TCP/80": "allow | allow rule p" },
  ],
  [
    "a staged policy isolates nothing [staged-alone-no-isolation]",
    [staged("shop/p", ingress(deny()))],
    { "shop/web > shop/db TCP/80": "allow | allow no-policy" },
  ],
  [
    "nor does a staged Kubernetes policy [staged-kubernetes]",
    [stagedKubernetes("shop/k", "podSelector: {}", "policyTypes: [Ingress]", "stagedAction: Set")],
    { "shop/web > shop/db TCP/80": "allow | allow no-policy" },
  ],
  [
    "nor has it a say among enforced ones [staged-among-enforced]",
    [stagedGlobal("a", "order: 1", ingress(deny())), global("b", "order: 2", DB, ingress(allow(from("app == 'web'"))))],
    {
      "shop/web > shop/db TCP/80": "allow | allow rule b",
      "shop/api > shop/db TCP/80": "allow | deny tier-default b",
      "shop/api > shop/web TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "a staged Delete removes nothing [staged-delete-does-not-remove]",
    [
      np("shop/k", "podSelector: {}", `ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]`),
      stagedKubernetes("shop/k", "stagedAction: Delete"),
    ],
    { "shop/web > shop/db TCP/80": "allow | allow rule k", "shop/api > shop/db TCP/80": "allow | deny isolated k" },
  ],
];

const FROM_ALL_NS = "namespaceSelector: all()";
const selectors: Row[] = [
  [
    "a rule without selectors matches anything [rule-no-selector-matches-anything]",
    p(INGRESS, ingress(allow())),
    { "data/web > shop/db TCP/80": "allow | allow rule p", "8.8.8.8 > shop/db TCP/80": "allow | allow rule p" },
  ],
  [
    "an empty source likewise [rule-empty-source-object]",
    p(INGRESS, ingress(allow("source: {}"))),
    { "data/web > shop/db TCP/80": "allow | allow rule p", "8.8.8.8 > shop/db TCP/80": "allow | allow rule p" },
  ],
  [
    "a selector of a NetworkPolicy looks at its own namespace [rule-selector-own-namespace-only]",
    p("selector: all()", INGRESS, ingress(allow(from("app == 'web'")))),
    { "shop/web > shop/db TCP/80": "allow | allow rule p", "data/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "so does all(): no other namespace, nothing outside [rule-selector-all-own-namespace]",
    p("selector: all()", INGRESS, ingress(allow(from("all()")))),
    {
      "shop/api > shop/db TCP/80": "allow | allow rule p",
      "data/web > shop/db TCP/80": "allow | deny tier-default p",
      "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "notSelector alone in a NetworkPolicy: the own namespace less the match, nothing outside [rule-notselector-only-namespaced]",
    p(INGRESS, ingress(allow("source: {notSelector: \"app == 'web'\"}"))),
    {
      "shop/api > shop/db TCP/80": "allow | allow rule p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "data/api > shop/db TCP/80": "allow | deny tier-default p",
      "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "notSelector alone in a GlobalNetworkPolicy: everything less the match, outside addresses too [rule-notselector-only-global]",
    g(DB, INGRESS, ingress(allow("source: {notSelector: \"app == 'web'\"}"))),
    {
      "data/api > shop/db TCP/80": "allow | allow rule p",
      "8.8.8.8 > shop/db TCP/80": "allow | allow rule p",
      "data/web > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "!has(app) never matches an address that is no pod's and in no set [rule-not-has-vs-notselector-global]",
    g(DB, INGRESS, ingress(allow(from("!has(app) || app == 'web'")))),
    { "data/web > shop/db TCP/80": "allow | allow rule p", "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "an address in a set has the set's labels, so that !has(app) matches it",
    [G_EXT, global("p", DB, INGRESS, ingress(allow(from("!has(app)"))))],
    {
      [`${IN_G_EXT} > shop/db TCP/80`]: "allow | allow rule p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "namespaceSelector all() is any pod and NetworkSet, no global set, nothing outside [nsselector-all]",
    [G_EXT, N_EXT, calico("shop/p", INGRESS, ingress(allow(`source: {${FROM_ALL_NS}}`)))],
    {
      "data/web > shop/db TCP/80": "allow | allow rule p",
      [`${IN_N_EXT} > shop/db TCP/80`]: "allow | allow rule p",
      [`${IN_G_EXT} > shop/db TCP/80`]: "allow | deny tier-default p",
      "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "with a selector both must hold [nsselector-all-plus-selector]",
    [G_EXT, N_EXT, calico("shop/p", INGRESS, ingress(allow(`source: {${FROM_ALL_NS}, selector: "app == 'web'"}`)))],
    {
      "data/web > shop/db TCP/80": "allow | allow rule p",
      "data/api > shop/db TCP/80": "allow | deny tier-default p",
      [`${IN_N_EXT} > shop/db TCP/80`]: "allow | deny tier-default p",
    },
  ],
  [
    "global() is the global sets only [nsselector-global]",
    [G_EXT, N_EXT, calico("shop/p", INGRESS, ingress(allow("source: {namespaceSelector: global()}")))],
    {
      [`${IN_G_EXT} > shop/db TCP/80`]: "allow | allow rule p",
      [`${IN_N_EXT} > shop/db TCP/80`]: "allow | deny tier-default p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "global() with a selector: those among them [nsselector-global-plus-selector]",
    [G_EXT, N_EXT, calico("shop/p", EGRESS, egress(allow("destination: {namespaceSelector: global(), selector: \"kind == 'ext'\"}")))],
    {
      [`shop/web > ${IN_G_EXT} TCP/80`]: "allow rule p | allow",
      [`shop/web > ${IN_N_EXT} TCP/80`]: "deny tier-default p | allow",
    },
  ],
  [
    "a namespace has its name as a label [nsselector-name-label]",
    p(INGRESS, ingress(allow("source: {namespaceSelector: \"projectcalico.org/name == 'data'\"}"))),
    { "data/web > shop/db TCP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "a negative namespaceSelector matches global sets, which have no namespace labels [nsselector-negative-matches-global-set]",
    [G_EXT, N_EXT, global("p", DB, INGRESS, ingress(allow("source: {namespaceSelector: \"env != 'prod'\"}")))],
    {
      "data/web > shop/db TCP/80": "allow | allow rule p",
      [`${IN_G_EXT} > shop/db TCP/80`]: "allow | allow rule p",
      [`${IN_N_EXT} > shop/db TCP/80`]: "allow | deny tier-default p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "so does !has(team), in a NetworkPolicy too [nsselector-nothas-matches-global-set]",
    [G_EXT, N_EXT, calico("shop/p", INGRESS, ingress(allow('source: {namespaceSelector: "!has(team)"}')))],
    {
      "data/web > shop/db TCP/80": "allow | allow rule p",
      [`${IN_G_EXT} > shop/db TCP/80`]: "allow | allow rule p",
      [`${IN_N_EXT} > shop/db TCP/80`]: "allow | deny tier-default p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "the near end can be matched: a destination selector in an ingress rule [ingress-rule-with-destination-selector]",
    g(ingress(deny(from("app == 'web'"), to("app == 'db'")), allow())),
    { "shop/web > shop/db TCP/80": "allow | deny rule-deny p", "shop/web > shop/api TCP/80": "allow | allow rule p" },
  ],
  [
    "and its address [ingress-rule-destination-nets]",
    g(ingress(allow("destination: {nets: [10.244.0.0/24]}"))),
    { "data/web > shop/db TCP/80": "allow | allow rule p", "shop/web > data/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "and a source selector in an egress rule [egress-rule-with-source-selector]",
    g(EGRESS, egress(deny(from("app == 'web'"), to("app == 'db'")), allow())),
    { "shop/web > shop/db TCP/80": "deny rule-deny p | allow", "shop/api > shop/db TCP/80": "allow rule p | allow" },
  ],
];

const language: Row[] = [
  [
    "&& binds tighter than || [selector-and-binds-tighter-than-or]",
    g(DB, ingress(allow(from("app == 'api' || app == 'web' && tier == 'front'")))),
    {
      "shop/api > shop/db TCP/80": "allow | allow rule p",
      "shop/web > shop/db TCP/80": "allow | allow rule p",
      "data/web > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "! binds to one operand [selector-not-binds-tightest]",
    g(DB, ingress(allow(from("! app == 'web' && has(tier)")))),
    {
      "data/api > shop/db TCP/80": "allow | allow rule p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "shop/api > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "!= holds for a missing label [selector-not-equal-missing-label]",
    g(DB, ingress(allow(from("tier != 'front'")))),
    { "shop/api > shop/db TCP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "`not in` likewise, of an empty set for everything with labels [selector-empty-set]",
    g(DB, ingress(allow(from("app not in {}")))),
    { "shop/web > shop/db TCP/80": "allow | allow rule p", "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "`not in` holds for a missing label",
    g(DB, ingress(allow(from("tier not in {'front', 'x'}")))),
    { "shop/api > shop/db TCP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "starts with, contains, in [selector-label-ops]",
    g(
      "selector: \"app starts with 'd' && !(env == 'dev' || has(canary))\"",
      ingress(allow(from("app contains 'e' && app not in {'web'}"))),
    ),
    { "shop/web > shop/db TCP/80": "allow | deny tier-default p", "shop/web > data/db TCP/80": "allow | allow no-policy" },
  ],
  [
    "an empty selector is all()",
    g('selector: ""', ingress(allow(from("app == 'web'")))),
    { "data/web > data/api TCP/80": "allow | allow rule p", "data/db > data/api TCP/80": "allow | deny tier-default p" },
  ],
  [
    "pods have projectcalico.org/orchestrator, sets have not [selector-on-orchestrator]",
    [G_EXT, N_EXT, global("p", DB, ingress(allow(from("projectcalico.org/orchestrator == 'k8s'"))))],
    {
      "data/web > shop/db TCP/80": "allow | allow rule p",
      [`${IN_N_EXT} > shop/db TCP/80`]: "allow | deny tier-default p",
      "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "labels of namespace and service account, by prefix [selector-pcns-and-projectcalico-labels]",
    g("selector: projectcalico.org/namespace == 'shop'", ingress(allow(from("pcns.env == 'prod' || pcsa.role == 'front'")))),
    {
      "shop/db > shop/web TCP/80": "allow | allow rule p",
      "data/api > shop/web TCP/80": "allow | allow rule p",
      "data/web > shop/web TCP/80": "allow | deny tier-default p",
      "shop/web > data/db TCP/80": "allow | allow no-policy",
    },
  ],
  [
    "projectcalico.org/serviceaccount is the account's name",
    g(DB, ingress(allow(from("projectcalico.org/serviceaccount == 'sa-api'")))),
    { "data/api > shop/db TCP/80": "allow | allow rule p", "data/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "a policy's namespaceSelector [policy-namespaceselector]",
    g("namespaceSelector: env == 'prod'", ingress(allow(from("app == 'db'")))),
    { "shop/web > shop/api TCP/80": "allow | deny tier-default p", "data/web > data/api TCP/80": "allow | allow no-policy" },
  ],
  [
    "and a negative one [policy-namespaceselector-negative]",
    g("namespaceSelector: env != 'prod'", DB, ingress(deny())),
    { "shop/web > data/db TCP/80": "allow | deny rule-deny p", "shop/web > shop/db TCP/80": "allow | allow no-policy" },
  ],
  [
    "a policy's serviceAccountSelector [policy-serviceaccountselector]",
    g("serviceAccountSelector: role == 'front'", ingress(allow(from("app == 'db'")))),
    {
      "shop/api > shop/web TCP/80": "allow | deny tier-default p",
      "shop/web > data/api TCP/80": "allow | deny tier-default p",
      "shop/api > data/web TCP/80": "allow | allow no-policy",
    },
  ],
];

const accounts: Row[] = [
  [
    "service account names in a NetworkPolicy are of its own namespace [serviceaccount-names]",
    p(ingress(allow("source: {serviceAccounts: {names: [sa-web]}}"))),
    { "shop/web > shop/db TCP/80": "allow | allow rule p", "data/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "of all namespaces with a namespaceSelector [serviceaccount-names-all-namespaces]",
    p(ingress(allow(`source: {${FROM_ALL_NS}, serviceAccounts: {names: [sa-web]}}`))),
    { "data/web > shop/db TCP/80": "allow | allow rule p", "data/api > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "names and selector must both hold [serviceaccount-names-and-selector]",
    g(DB, ingress(allow("source: {serviceAccounts: {names: [sa-web, default], selector: role == 'front'}}"))),
    {
      "shop/web > shop/db TCP/80": "allow | allow rule p",
      "data/web > shop/db TCP/80": "allow | deny tier-default p",
      "data/api > shop/db TCP/80": "allow | deny tier-default p",
      "shop/db > data/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "service accounts beside a selector of pods: both [serviceaccount-plus-selector]",
    g(DB, ingress(allow("source: {selector: app == 'api', serviceAccounts: {selector: has(role)}}"))),
    { "shop/api > shop/db TCP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "a pod that names no account has `default` [serviceaccount-default]",
    g(DB, ingress(allow("source: {serviceAccounts: {names: [default]}}"))),
    { "shop/db > data/db TCP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
];

const TO_EXT = egress(allow(to("kind == 'ext'")));
const PODS = (nets: string) => globalNetworkSet("pods {kind: pods}", `nets: [${nets}]`);
const sets: Row[] = [
  [
    "a NetworkPolicy sees the sets of its own namespace, no global ones [networkset-same-namespace]",
    [G_EXT, N_EXT, calico("shop/p", EGRESS, TO_EXT)],
    {
      [`shop/web > ${IN_N_EXT} TCP/80`]: "allow rule p | allow",
      [`shop/web > ${IN_G_EXT} TCP/80`]: "deny tier-default p | allow",
      "shop/web > 198.51.100.128 TCP/80": "deny tier-default p | allow",
    },
  ],
  [
    "and not those of another namespace [networkset-needs-own-namespace]",
    [G_EXT, N_EXT, calico("data/p", EGRESS, TO_EXT)],
    {
      [`data/web > ${IN_N_EXT} TCP/80`]: "deny tier-default p | allow",
      [`data/web > ${IN_G_EXT} TCP/80`]: "deny tier-default p | allow",
    },
  ],
  [
    "a GlobalNetworkPolicy sees both kinds [networkset-from-global-policy]",
    [G_EXT, N_EXT, global("p", EGRESS, TO_EXT)],
    { [`data/web > ${IN_N_EXT} TCP/80`]: "allow rule p | allow", [`data/web > ${IN_G_EXT} TCP/80`]: "allow rule p | allow" },
  ],
  [
    "NetworkSets inherit their namespace's labels [networkset-inherits-namespace-labels]",
    [G_EXT, N_EXT, global("p", EGRESS, egress(allow("destination: {namespaceSelector: env == 'prod', selector: kind == 'ext'}")))],
    { [`data/web > ${IN_N_EXT} TCP/80`]: "allow rule p | allow", [`data/web > ${IN_G_EXT} TCP/80`]: "deny tier-default p | allow" },
  ],
  [
    "a set may hold pods [networkset-covers-pod-ips]",
    [PODS("10.244.1.0/24"), global("p", DB, INGRESS, ingress(allow(from("kind == 'pods'"))))],
    { "data/web > shop/db TCP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "labels of a pod and of a set that holds it are not merged [networkset-and-pod-labels-not-merged]",
    [PODS("10.244.0.0/16"), global("p", DB, INGRESS, ingress(allow(from("kind == 'pods' && app == 'web'"))))],
    { "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "selector and notSelector must hold on one object [selector-and-notselector-same-ip-two-objects]",
    [
      PODS("10.244.0.0/16"),
      global("p", DB, INGRESS, ingress(allow("source: {selector: has(kind) || has(app), notSelector: app == 'web'}"))),
    ],
    { "shop/web > shop/db TCP/80": "allow | allow rule p", "8.8.8.8 > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "notSelector alone must fail on every object of the address",
    [PODS("10.244.0.0/16"), global("p", DB, INGRESS, ingress(allow("source: {notSelector: app == 'web'}")))],
    { "shop/web > shop/db TCP/80": "allow | deny tier-default p", "shop/api > shop/db TCP/80": "allow | allow rule p" },
  ],
  [
    "host bits of a set's nets do not matter [networkset-host-bits]",
    [globalNetworkSet("a {kind: ext}", "nets: [192.0.2.77/24]"), global("p", WEB, EGRESS, TO_EXT)],
    { "shop/web > 192.0.2.1 TCP/80": "allow rule p | allow", "shop/web > 192.0.3.1 TCP/80": "deny tier-default p | allow" },
  ],
  [
    "nets of a set may overlap [networkset-overlapping-cidrs]",
    [globalNetworkSet("a {kind: ext}", "nets: [192.0.2.0/24, 192.0.2.64/26]"), global("p", WEB, EGRESS, TO_EXT)],
    { "shop/web > 192.0.2.1 TCP/80": "allow rule p | allow", "shop/web > 192.0.2.65 TCP/80": "allow rule p | allow" },
  ],
  [
    "a set of 0.0.0.0/0 holds every IPv4 address, pods too [networkset-slash0]",
    [globalNetworkSet("a {kind: ext}", "nets: [0.0.0.0/0]"), global("p", WEB, EGRESS, TO_EXT)],
    {
      "shop/web > 8.8.8.8 TCP/80": "allow rule p | allow",
      "shop/web > shop/db TCP/80": "allow rule p | allow",
      "shop/web > 2001:db8::1 TCP/80": "deny tier-default p | allow",
    },
  ],
];

const toDestination = (destination: string) => g(WEB, EGRESS, egress(allow(`destination: {${destination}}`)));
const nets: Row[] = [
  [
    "nets match pods too [nets-match-pods-too]",
    toDestination("nets: [10.244.0.0/16]"),
    { "shop/web > shop/db TCP/80": "allow rule p egress[0] | allow", "shop/web > 8.8.8.8 TCP/80": "deny tier-default p | allow" },
  ],
  [
    "notNets alone: every other address [notnets-only]",
    toDestination("notNets: [10.244.0.0/16]"),
    { "shop/web > shop/db TCP/80": "deny tier-default p | allow", "shop/web > 8.8.8.8 TCP/80": "allow rule p | allow" },
  ],
  [
    "nets less notNets, pods too [nets-and-notnets]",
    toDestination("nets: [0.0.0.0/0], notNets: [10.244.1.0/24, 192.0.2.0/25]"),
    {
      "shop/web > shop/db TCP/80": "allow rule p | allow",
      "shop/web > data/db TCP/80": "deny tier-default p | allow",
      "shop/web > 192.0.2.127 TCP/80": "deny tier-default p | allow",
      "shop/web > 192.0.2.128 TCP/80": "allow rule p | allow",
    },
  ],
  [
    "nets and selector must both hold [nets-and-selector-both-must-match]",
    toDestination("nets: [10.244.0.0/24], selector: app == 'db'"),
    {
      "shop/web > shop/db TCP/80": "allow rule p | allow",
      "shop/web > data/db TCP/80": "deny tier-default p | allow",
      "shop/web > shop/api TCP/80": "deny tier-default p | allow",
    },
  ],
  [
    "IPv6 nets match no IPv4 address [nets-ipv6-in-ipv4-cluster]",
    toDestination('nets: ["2001:db8::/32"]'),
    { "shop/web > 8.8.8.8 TCP/80": "deny tier-default p | allow", "shop/web > 2001:db8::1 TCP/80": "allow rule p | allow" },
  ],
  [
    "notNets all of the other family drop the rule for this one",
    toDestination('notNets: ["2001:db8::/32"]'),
    { "shop/web > 8.8.8.8 TCP/80": "deny tier-default p | allow", "shop/web > 2001:db9::1 TCP/80": "allow rule p | allow" },
  ],
  [
    "ipVersion 6 matches no IPv4 packet [ipversion-6-rule-on-ipv4]",
    p(ingress(allow("ipVersion: 6"))),
    { "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
];

const onPort = (destination: string, ...match: string[]) => p(ingress(allow(...match, `destination: {${destination}}`)));
const ports: Row[] = [
  [
    "a named port is the destination's, of the rule's protocol [named-port]",
    onPort("ports: [http]", "protocol: TCP"),
    {
      "shop/web > shop/db TCP/80": "allow | allow rule p",
      "8.8.8.8 > shop/web TCP/8080": "allow | allow rule p",
      "shop/web > shop/db TCP/8080": "allow | deny tier-default p",
      "shop/web > shop/db UDP/80": "allow | deny tier-default p",
      "shop/web > shop/api TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "without protocol the port's own protocol counts [named-port-no-protocol]",
    onPort("ports: [http, dns]"),
    {
      "shop/web > shop/db UDP/53": "allow | allow rule p",
      "shop/web > shop/db TCP/53": "allow | deny tier-default p",
      "shop/web > shop/api TCP/53": "allow | allow rule p",
      "shop/web > shop/api UDP/53": "allow | deny tier-default p",
    },
  ],
  [
    "with another protocol it matches nothing [named-port-wrong-protocol]",
    onPort("ports: [http]", "protocol: UDP"),
    { "shop/web > shop/db UDP/80": "allow | deny tier-default p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
  [
    "for egress it is looked up with the rule's destination selector [named-port-egress-with-selector]",
    p(EGRESS, egress(allow("protocol: TCP", to("app == 'db'", "ports: [http]")))),
    {
      "shop/api > shop/db TCP/80": "allow rule p | allow",
      "shop/api > data/db TCP/8080": "deny tier-default p | allow",
      "shop/api > shop/web TCP/8080": "deny tier-default p | allow",
    },
  ],
  [
    "without one on the pods of any namespace, never outside [named-port-egress-no-selector]",
    p(EGRESS, egress(allow("protocol: TCP", "destination: {ports: [http]}"))),
    {
      "shop/api > data/db TCP/8080": "allow rule p | allow",
      "shop/api > shop/web TCP/8080": "allow rule p | allow",
      "shop/api > 8.8.8.8 TCP/8080": "deny tier-default p | allow",
      "shop/api > data/db TCP/80": "deny tier-default p | allow",
    },
  ],
  [
    "names and numbers side by side [named-port-and-number-mixed]",
    p(EGRESS, egress(allow("protocol: TCP", to("app == 'db'", "ports: [http, 9090]")))),
    {
      "shop/api > shop/db TCP/80": "allow rule p | allow",
      "shop/api > shop/db TCP/9090": "allow rule p | allow",
      "shop/api > shop/db TCP/81": "deny tier-default p | allow",
    },
  ],
  [
    "a name among notPorts [named-notport]",
    onPort("notPorts: [http]", "protocol: TCP"),
    {
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "shop/web > shop/db TCP/8080": "allow | allow rule p",
      "shop/web > shop/db UDP/80": "allow | deny tier-default p",
    },
  ],
  [
    "without protocol it takes nothing but that port away [named-notport-no-protocol]",
    onPort("notPorts: [http]"),
    {
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "shop/web > shop/db UDP/80": "allow | allow rule p",
      "shop/web > shop/db ICMP/8": "allow | allow rule p",
    },
  ],
  [
    "notPorts [notports]",
    onPort("notPorts: [80]", "protocol: TCP"),
    { "shop/web > shop/db TCP/80": "allow | deny tier-default p", "shop/web > shop/db TCP/81": "allow | allow rule p" },
  ],
  [
    "ports less notPorts [ports-and-notports]",
    onPort("ports: ['1:10000'], notPorts: [8080]", "protocol: TCP"),
    {
      "shop/web > shop/db TCP/8080": "allow | deny tier-default p",
      "shop/web > shop/db TCP/10000": "allow | allow rule p",
      "shop/web > shop/db TCP/10001": "allow | deny tier-default p",
    },
  ],
  [
    "ranges hold their ends [ports-range-and-number]",
    onPort("ports: [80, '8000:8080']", "protocol: TCP"),
    {
      "shop/web > shop/db TCP/8000": "allow | allow rule p",
      "shop/web > shop/db TCP/8080": "allow | allow rule p",
      "shop/web > shop/db TCP/8081": "allow | deny tier-default p",
      "shop/web > shop/db TCP/80": "allow | allow rule p",
    },
  ],
  [
    "source.ports are ports of the source [ports-as-source-ports]",
    p(ingress(allow("protocol: TCP", "source: {ports: [80, 8080]}"))),
    {
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "shop/web > shop/db TCP/9000 from 80": "allow | allow rule p",
      "shop/web > shop/db TCP/80 from 81": "allow | deny tier-default p",
    },
  ],
];

const ICMP = "protocol: ICMP";
const protocols: Row[] = [
  [
    "protocol ICMP implies IPv4 [icmp-any]",
    p(ingress(allow(ICMP))),
    {
      "shop/web > shop/db ICMP/8": "allow | allow rule p",
      "shop/web > shop/db ICMP/3/4": "allow | allow rule p",
      "2001:db8::1 > shop/db ICMPv6/128": "allow | deny tier-default p",
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
    },
  ],
  [
    "an ICMP type [icmp-type-8]",
    p(ingress(allow(ICMP, "icmp: {type: 8}"))),
    { "shop/web > shop/db ICMP/8": "allow | allow rule p", "shop/web > shop/db ICMP/0": "allow | deny tier-default p" },
  ],
  [
    "type 0 is a value, not absent [icmp-type-0]",
    p(ingress(allow(ICMP, "icmp: {type: 0}"))),
    { "shop/web > shop/db ICMP/0": "allow | allow rule p", "shop/web > shop/db ICMP/8": "allow | deny tier-default p" },
  ],
  [
    "a type with its code [icmp-type-code]",
    p(ingress(allow(ICMP, "icmp: {type: 3, code: 1}"))),
    {
      "shop/web > shop/db ICMP/3/1": "allow | allow rule p",
      "shop/web > shop/db ICMP/3/0": "allow | deny tier-default p",
      "shop/web > shop/db ICMP/8": "allow | deny tier-default p",
    },
  ],
  [
    "notICMP [icmp-nottype]",
    p(ingress(allow(ICMP, "notICMP: {type: 8}"))),
    { "shop/web > shop/db ICMP/8": "allow | deny tier-default p", "shop/web > shop/db ICMP/0": "allow | allow rule p" },
  ],
  [
    "notICMP with a code takes only both together away [icmp-nottype-code]",
    p(ingress(allow(ICMP, "notICMP: {type: 3, code: 1}"))),
    {
      "shop/web > shop/db ICMP/3/1": "allow | deny tier-default p",
      "shop/web > shop/db ICMP/3/0": "allow | allow rule p",
      "shop/web > shop/db ICMP/8": "allow | allow rule p",
    },
  ],
  [
    "notProtocol [notprotocol]",
    p(ingress(allow("notProtocol: TCP"))),
    {
      "shop/web > shop/db TCP/80": "allow | deny tier-default p",
      "shop/web > shop/db UDP/80": "allow | allow rule p",
      "shop/web > shop/db ICMP/8": "allow | allow rule p",
    },
  ],
  [
    "protocols by number [protocol-number]",
    p(ingress(allow("protocol: 6"))),
    { "shop/web > shop/db TCP/80": "allow | allow rule p", "shop/web > shop/db UDP/80": "allow | deny tier-default p" },
  ],
  [
    "with ports [protocol-number-with-ports]",
    p(ingress(allow("protocol: 17", "destination: {ports: [53]}"))),
    { "shop/web > shop/db UDP/53": "allow | allow rule p", "shop/web > shop/db TCP/53": "allow | deny tier-default p" },
  ],
  [
    "SCTP [protocol-sctp]",
    p(ingress(allow("protocol: SCTP"))),
    { "shop/web > shop/db SCTP/80": "allow | allow rule p", "shop/web > shop/db TCP/80": "allow | deny tier-default p" },
  ],
];

const droppedByFelix: Row[] = [
  [
    "what pods send to UDP 4789 is dropped whatever the policy, measured with felix's defaults",
    g(EGRESS, egress(allow())),
    {
      "shop/web > 8.8.8.8 UDP/4789": "deny tier-default (dropped-by-plugin) | allow",
      "shop/web > shop/db UDP/4789": "deny tier-default (dropped-by-plugin) | allow no-policy",
      "shop/web > 8.8.8.8 TCP/4789": "allow rule p | allow",
      "8.8.8.8 > shop/web UDP/4789": "allow | allow no-policy",
    },
  ],
  [
    "so is their IP in IP",
    g(EGRESS, egress(allow())),
    { "shop/web > 8.8.8.8 4": "deny tier-default (dropped-by-plugin) | allow", "shop/web > 8.8.8.8 47": "allow rule p | allow" },
  ],
  [
    "of pods that no policy selects too",
    g(DB, EGRESS, egress(allow())),
    { "shop/web > 8.8.8.8 UDP/4789": "deny tier-default (dropped-by-plugin) | allow" },
  ],
];

const sections = { tiers, orders, kubernetes, types, selectors, language, accounts, sets, nets, ports, protocols, droppedByFelix };

describe.each(Object.entries(sections))("calico: %s", (_, rows) => {
  test.each(rows)("%s", (...row) => {
    expect(answersOf("calico", WORLD, row)).toEqual(row[2]);
  });
});

/** What the CRD takes and felix answers by leaving the whole policy, or that rule, out: we refuse it where it is read. */
const refused: readonly (readonly [title: string, policies: readonly string[], problem: string])[] = [
  ["ports without protocol", p(ingress(allow("destination: {ports: [80]}"))), "error spec.ingress[0]"],
  ["protocol GRE", p(ingress(allow("protocol: GRE"))), "error spec.ingress[0].protocol"],
  ["a broken selector of the policy", p("selector: app ==", ingress(allow())), "error spec.selector"],
  ["a broken selector of a rule", p(ingress(allow(from("app ==")))), "error spec.ingress[0].source.selector"],
  ["protocol tcp", p(ingress(allow("protocol: tcp"))), "error spec.ingress[0].protocol"],
  ["nets without length", p(ingress(allow("source: {nets: [10.0.0.1]}"))), "error spec.ingress[0].source.nets[0]"],
  ["action allow, which the CRD refuses", p("ingress: [{action: allow}]"), "error spec.ingress[0].action"],
  ["icmp with TCP, which the CRD refuses", p(ingress(allow("protocol: TCP", "icmp: {type: 8}"))), "error spec.ingress[0]"],
  ["notNets of every address", p(ingress(allow("source: {notNets: [0.0.0.0/0]}"))), "error spec.ingress[0].source.notNets[0]"],
  ["stagedAction Delete without types, which the defaults fill in", [staged("shop/p", "stagedAction: Delete")], "error spec.stagedAction"],
];
describe("calico: what is refused", () => {
  test.each(refused)("%s", (_, policies, problem) => {
    expect(problemsOf(policies).map((line) => line.slice(0, problem.length))).toContain(problem);
  });
});

test("every probe of oracle/calico is named above", () => {
  expect(
    probesWithoutRow(
      "calico",
      Object.values(sections).flatMap((rows) => rows.map(([rule]) => rule)),
    ),
  ).toEqual([]);
});
