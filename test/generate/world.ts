import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { type CniName, profileOf } from "../../src/evaluate/profile.ts";
import { Connections } from "../../src/flow/connections.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import type { L7Hint } from "../../src/flow/hints.ts";
import { NameTable } from "../../src/flow/names.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import type { PolicyType } from "../../src/generate/dialect.ts";
import { type Generation, type GenerationOptions, generate } from "../../src/generate/generate.ts";
import { PolicyNames } from "../../src/generate/names.ts";
import { Workloads } from "../../src/generate/workloads.ts";
import { parseAddress, wordsOfAddress } from "../../src/net/address.ts";
import { isIcmp, protocolNumber } from "../../src/net/protocol.ts";
import { readPolicies } from "../../src/policy/readPolicies.ts";
import { addConnection } from "../flow/madeConnections.ts";

/** A connection as it was seen. Ends are addresses. */
export interface SeenFlow {
  readonly from: string;
  readonly to: string;
  readonly protocol?: string;
  readonly port?: number;
  readonly icmpType?: number;
  /** The address and port that was dialled. */
  readonly via?: readonly [string, number];
  /** Whether the view after translation was not seen: `to` is then the dialled address itself. */
  readonly isDialledOnly?: boolean;
  readonly observed?: (typeof OUTCOMES)[number];
  /** Whether it is from a log. */
  readonly isStated?: boolean;
  readonly count?: number;
  readonly requests?: readonly L7Hint[];
  /** Epoch seconds. */
  readonly at?: number;
}

export interface LearnOptions extends Partial<Omit<GenerationOptions, "dialect">> {
  readonly type?: PolicyType;
  readonly clusterWide?: boolean;
  readonly cni?: CniName;
  readonly perPod?: boolean;
  /** Names of outside addresses. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
  /** Keys of the workloads that policies are wanted for (`Deployment/shop/web`); absent: all. */
  readonly wanted?: readonly string[];
  readonly isTaken?: (namespace: string, name: string) => boolean;
}

const PLUGINS = { kubernetes: "generic", cilium: "cilium", calico: "calico" } as const;

/** Generates policies from a snapshot and what was seen, as `gen networkpolicy` does, without files. */
export function learn(snapshot: string, flows: readonly SeenFlow[], options: LearnOptions = {}): Generation {
  const { type = "kubernetes", clusterWide = false, names: given = {} } = options;
  const cluster = readCluster(readManifest(snapshot, "snapshot.json"));
  const table = new FlowTable();
  const { addresses } = table;
  const names = new NameTable();
  for (const [address, own] of Object.entries(given)) for (const name of own) names.add(parseAddress(address)!, name);
  const idOf = (text: string) => addresses.intern(...wordsOfAddress(parseAddress(text)!), 0);
  const connections = new Connections(table.kernel);
  const requests: (readonly L7Hint[])[] = [];
  for (const flow of flows) {
    const protocol = protocolNumber(flow.protocol ?? "TCP")!;
    const port = isIcmp(protocol) ? (flow.icmpType ?? 8) << 8 : (flow.port ?? 0);
    const i = addConnection(table, connections, {
      source: idOf(flow.from),
      destination: idOf(flow.to),
      via: flow.isDialledOnly ? [idOf(flow.to), port] : flow.via ? [idOf(flow.via[0]), flow.via[1]] : [-1, 0],
      protocol,
      port,
      outcome: OUTCOMES.indexOf(flow.observed ?? "established"),
      times: flow.count ?? 1,
      isStated: flow.isStated,
      at: flow.at,
    });
    requests[i] = [...(requests[i] ?? []), ...(flow.requests ?? [{}])];
  }
  const resolver = new EndpointResolver(cluster, addresses, names, new LoggedParties());
  const { policies, tiers, sets } = readPolicies(cluster.policyObjects, { defaultNamespace: "default" });
  const workloads = new Workloads(cluster.pods, cluster.workloadSelectors, options.perPod);
  const dialect = { type, isClusterWide: clusterWide };
  return generate({
    cluster,
    world: { ...cluster, names },
    connections,
    addresses,
    resolver,
    names,
    requestsOf: (i) => requests[i],
    profile: profileOf(options.cni ?? PLUGINS[type]),
    existing: { policies, tiers, sets },
    workloads,
    wanted: new Set(options.wanted === undefined ? workloads.all : workloads.all.filter(({ key }) => options.wanted!.includes(key))),
    policyNames: new PolicyNames(workloads.all, dialect, options.isTaken ?? (() => false)),
    options: {
      includeFailed: false,
      defaultDeny: false,
      l7: false,
      byName: false,
      widenBits: 0,
      minSeconds: 0,
      minConnections: 0,
      ...options,
      dialect,
    },
    sources: ["test.pcap"],
  });
}
