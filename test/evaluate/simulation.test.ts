import { describe, expect, test } from "vitest";
import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator } from "../../src/evaluate/evaluator.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { OUTCOME_NAMES, Simulation, VERDICTS } from "../../src/evaluate/simulation.ts";
import { Connections } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { formatAddress, parseAddress, wordsOfAddress } from "../../src/net/address.ts";
import { protocolNumber } from "../../src/net/protocol.ts";
import { addConnection } from "../flow/madeConnections.ts";
import { policiesOf, snapshotText } from "../oracle/compiled.ts";
import { addressOf, line, policy, SHOP } from "./shop.ts";

type Observed = (typeof OUTCOMES)[number];
/** A connection as the readers leave it. `via` is what was dialled; `joined`: the view after translation was seen too. */
interface Seen {
  readonly from: string;
  readonly to: string;
  readonly protocol?: string;
  readonly port: number;
  readonly via?: readonly [address: string, port: number];
  readonly observed?: Observed;
}

const service = (name: string, address: string, port: number, backends: readonly (readonly [string, number])[]): string[] => [
  JSON.stringify({
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: "shop", name },
    spec: { clusterIP: address, ports: [{ name: "http", port }] },
  }),
  ...[...Map.groupBy(backends, ([, target]) => target)].map(([target, same]) =>
    JSON.stringify({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { namespace: "shop", name: `${name}-${target}`, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "http", port: target, protocol: "TCP" }],
      endpoints: same.map(([ip]) => ({ addresses: [ip] })),
    }),
  ),
  ...(backends.length > 0 ? [] : [JSON.stringify({ apiVersion: "v1", kind: "Endpoints", metadata: { namespace: "shop", name } })]),
];
const WEB = addressOf("shop/web");
const API = addressOf("shop/api");
const DB = addressOf("data/db");
const SERVICES = [
  ...service("one", "10.96.0.1", 80, [[API, 9090]]),
  ...service("two", "10.96.0.2", 80, [
    [API, 9090],
    [DB, 5432],
  ]),
  ...service("none", "10.96.0.3", 80, []),
];

function simulate(seen: Seen, candidates: string, existing?: string): { simulation: Simulation; told: string[] } {
  const objects: ManifestObject[] = [snapshotText(SHOP), ...SERVICES].flatMap((text) => readManifest(text, "snapshot.json"));
  const cluster = readCluster(objects);
  const table = new FlowTable();
  const { addresses } = table;
  const idOf = (name: string) => addresses.intern(...wordsOfAddress(parseAddress(addressOf(name))!), 0);
  const connections = new Connections(table.kernel);
  const [viaAddress, viaPort] = seen.via ?? ["", 0];
  addConnection(table, connections, {
    source: idOf(seen.from),
    destination: idOf(seen.to),
    via: [seen.via === undefined ? -1 : idOf(viaAddress), viaPort],
    protocol: protocolNumber(seen.protocol ?? "TCP")!,
    port: seen.port,
    outcome: OUTCOMES.indexOf(seen.observed ?? "established"),
    times: 1,
  });
  const resolver = new EndpointResolver(cluster, addresses, new NameTable(), new LoggedParties());
  const evaluator = new Evaluator(policiesOf(candidates), cluster, profileOf("generic"));
  const baseline = existing === undefined ? evaluator : new Evaluator(policiesOf(existing), cluster, profileOf("generic"));
  const simulation = new Simulation(connections, addresses, resolver, evaluator, baseline);
  const { egress, ingress, verdict } = simulation.judge(0, evaluator);
  return { simulation, told: [verdict, line(egress), line(ingress)] };
}

const ALLOW_ALL = policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", "egress: [{}]");
const to = (...ports: (number | string)[]) =>
  policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", `egress: [{ports: [${ports.map((port) => `{port: ${port}}`).join()}]}]`);
const [ONE, TWO, NONE] = ["10.96.0.1", "10.96.0.2", "10.96.0.3"];

describe("Services", () => {
  test.each<[string, Seen, string, string[]]>([
    [
      "the sole backend is judged, on its own port",
      { from: WEB, to: ONE, port: 80, via: [ONE, 80] },
      to(9090),
      ["allow", "allow rule [shop/p] <- shop/p egress[0]", "allow no-policy"],
    ],
    [
      "not on the Service's port",
      { from: WEB, to: ONE, port: 80, via: [ONE, 80] },
      to(80),
      ["deny", "deny isolated [shop/p]", "allow no-policy"],
    ],
    [
      "all backends allowed",
      { from: WEB, to: TWO, port: 80, via: [TWO, 80] },
      to(9090, 5432),
      ["allow", "allow rule [shop/p] <- shop/p egress[0]", "allow no-policy"],
    ],
    [
      "all backends denied",
      { from: WEB, to: TWO, port: 80, via: [TWO, 80] },
      to(80),
      ["deny", "deny isolated [shop/p]", "allow no-policy"],
    ],
    [
      "backends that differ",
      { from: WEB, to: TWO, port: 80, via: [TWO, 80] },
      to(9090),
      ["unknown", "unknown several-backends [shop/p] <- shop/p egress[0]", "allow no-policy"],
    ],
    [
      "the backend is known from the view after translation",
      { from: WEB, to: DB, port: 5432, via: [TWO, 80] },
      to(9090),
      ["deny", "deny isolated [shop/p]", "allow no-policy"],
    ],
    [
      "the other backend",
      { from: WEB, to: API, port: 9090, via: [TWO, 80] },
      to(9090),
      ["allow", "allow rule [shop/p] <- shop/p egress[0]", "allow no-policy"],
    ],
    [
      "no backend, every port allowed",
      { from: WEB, to: NONE, port: 80, via: [NONE, 80] },
      ALLOW_ALL,
      ["allow", "allow rule [shop/p] <- shop/p egress[0]", "allow no-policy"],
    ],
    [
      "no backend, peers are wanted",
      { from: WEB, to: NONE, port: 80, via: [NONE, 80] },
      policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", "egress: [{to: [{podSelector: {}}]}]"),
      ["unknown", "unknown unknown-endpoint [shop/p] <- shop/p egress[0].to[0]", "allow no-policy"],
    ],
    [
      "each backend is denied, one at either side: deny, though no side is sure",
      { from: WEB, to: TWO, port: 80, via: [TWO, 80] },
      [to(5432), policy("data/q", "podSelector: {}", "policyTypes: [Ingress]")].join("---\n"),
      ["deny", "unknown several-backends [shop/p] <- shop/p egress[0]", "unknown several-backends [data/q]"],
    ],
  ])("%s", (_, seen, candidates, expected) => {
    expect(simulate(seen, candidates).told).toEqual(expected);
  });

  test("ends are shown: the Service where backends differ, the backend where there is one, what was dialled beside it", () => {
    const shown = (seen: Seen) => {
      const { destinationEndpoint, destinationAddress, port, via, targets } = simulate(seen, ALLOW_ALL).simulation.ends(0);
      return [
        destinationEndpoint.type,
        destinationEndpoint.name,
        formatAddress(destinationAddress),
        port,
        via?.service,
        via && formatAddress(via.address),
        via?.port,
        targets.length,
      ];
    };
    expect(shown({ from: WEB, to: TWO, port: 80, via: [TWO, 80] })).toEqual(["service", "two", TWO, 80, "shop/two", TWO, 80, 2]);
    expect(shown({ from: WEB, to: ONE, port: 80, via: [ONE, 80] })).toEqual(["pod", "api", API, 9090, "shop/one", ONE, 80, 1]);
    expect(shown({ from: WEB, to: API, port: 9090, via: [TWO, 80] })).toEqual(["pod", "api", API, 9090, "shop/two", TWO, 80, 1]);
    expect(shown({ from: WEB, to: API, port: 9090 })).toEqual(["pod", "api", API, 9090, undefined, undefined, undefined, 1]);
    expect(shown({ from: WEB, to: NONE, port: 80, via: [NONE, 80] })).toEqual(["service", "none", NONE, 80, "shop/none", NONE, 80, 0]);
  });

  // agreeSide: decisions that are all unknown for one and the same reason become "several-backends", which is only for those
  // whose answers differ.
  test("backends that are all unknown for one reason keep it", () => {
    const rule = (peer: string) => policy("shop/p", "podSelector: {}", "policyTypes: [Ingress]", `ingress: [{from: [${peer}]}]`);
    const other = policy(
      "data/p",
      "podSelector: {}",
      "policyTypes: [Ingress]",
      "ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}]}]",
    );
    const { told } = simulate(
      { from: "bare/x", to: TWO, port: 80, via: [TWO, 80] },
      [rule("{namespaceSelector: {matchLabels: {team: red}}}"), other].join("---\n"),
    );
    expect(told[2]).toContain("unknown unknown-labels");
  });
});

describe("outcomes", () => {
  const DENY = policy("shop/p", "podSelector: {}", "policyTypes: [Egress]");
  const OPEN = policy("shop/p", "podSelector: {}", "policyTypes: [Egress]", "egress: [{to: [{podSelector: {}}]}]");
  test.each<[string, string, Observed, string]>([
    ["allow", ALLOW_ALL, "established", "permitted"],
    ["allow", ALLOW_ALL, "dropped", "misdropped"],
    ["allow", ALLOW_ALL, "refused", "unknown"],
    ["allow", ALLOW_ALL, "unanswered", "unknown"],
    ["allow", ALLOW_ALL, "unknown", "unknown"],
    ["deny", DENY, "established", "would-drop"],
    ["deny", DENY, "unknown", "would-drop"],
    ["deny", DENY, "refused", "rejected"],
    ["deny", DENY, "unanswered", "rejected"],
    ["deny", DENY, "dropped", "rejected"],
    ["unknown", OPEN, "established", "unknown"],
    ["unknown", OPEN, "dropped", "unknown"],
  ])("verdict %s, %#: observed %s", (verdict, candidates, observed, outcome) => {
    const { simulation } = simulate({ from: WEB, to: "10.0.0.99", port: 80, observed }, candidates);
    expect([VERDICTS[simulation.verdicts[0]], OUTCOME_NAMES[simulation.outcomes[0]]]).toEqual([verdict, outcome]);
  });

  test("the baseline is judged by the existing policies alone", () => {
    const { simulation } = simulate({ from: WEB, to: API, port: 80 }, DENY, ALLOW_ALL);
    expect([VERDICTS[simulation.verdicts[0]], VERDICTS[simulation.baselines[0]]]).toEqual(["deny", "allow"]);
  });

  test("the first kind of ending that happened is the observed one", () => {
    const { simulation } = simulate({ from: WEB, to: API, port: 80, observed: "dropped" }, DENY);
    simulation.connections.setTally(0, { attempts: [0, 3, 0, 1, 0], packets: 0, bytes: 0 });
    expect(OUTCOMES[simulation.observed(0)]).toBe("refused");
    simulation.connections.setTally(0, { attempts: OUTCOMES.map(() => 0), packets: 0, bytes: 0 });
    expect(OUTCOMES[simulation.observed(0)]).toBe("unknown");
  });
});
