import { NAMESPACE_NAME, type Namespace, type Pod } from "../cluster/objects.ts";
import type { Verdict } from "../evaluate/decision.ts";
import type { Evaluator, Participant, World } from "../evaluate/evaluator.ts";
import { type Judgement, judgeEnds } from "../evaluate/judge.ts";
import type { Request } from "../evaluate/l7.ts";
import { NameTable } from "../flow/names.ts";
import type { Address } from "../net/address.ts";
import type { Direction, Policy, RuleRef } from "../policy/model.ts";
import type { AskedTraffic } from "./notice.ts";

/** A namespace that no cluster has: pods in it have every label right and the namespace wrong. */
export const ELSEWHERE = "kguardian-probe";

/** How pods are called that probes alone have: made up, or another one of a workload. */
export const MADE_UP = "probe-";
export const TWIN = "-twin";

/** Addresses that are tried for one without another name. */
const TRIED = 64n;

/** One connection that policy sets are asked about. */
export interface AskedConnection {
  readonly source: Participant;
  readonly destination: Participant;
  /** IP protocol number. */
  readonly protocol: number;
  /** At the destination; for ICMP type * 256 + code. */
  readonly port: number;
  /** The initiator's; -1: any. */
  readonly sourcePort: number;
  readonly requests: readonly Request[];
}

/** A connection at the edge of a rule. */
export interface Probe extends AskedConnection {
  readonly policy: Policy;
  /** The rule that it came from. */
  readonly rule: RuleRef;
  readonly direction: Direction;
  /** What it is about: completes "with …". */
  readonly what: string;
  /** Whether the rule holds it; undefined: that hangs on what is not known. */
  readonly isInside: boolean | undefined;
  /** What the author of the rule expects; undefined: the rule says nothing of it. */
  readonly expected: Verdict | undefined;
}

/** The cluster with the pods, namespaces and names that probes are made with besides. */
export class ProbeWorld {
  readonly #world: World;
  readonly #pods = new Map<string, Pod>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #names = new NameTable();
  readonly #twins = new Map<Pod, Pod>();
  /** Outside addresses that are spoken for, with the name of each. */
  readonly #known = new Map<Address, string | undefined>();

  constructor(world: World) {
    this.#world = world;
    for (const [address, names] of world.names?.entries() ?? []) {
      this.#known.set(address, names.join());
      this.#names.know(address);
      for (const name of names) this.#names.add(address, name);
    }
    this.namespace(ELSEWHERE, {});
  }

  get cluster(): World {
    return this.#world;
  }

  /** What evaluators are compiled against. */
  get world(): World {
    const { pods, namespaces } = this.#world;
    return {
      ...this.#world,
      pods: [...pods, ...this.#pods.values(), ...this.#twins.values()],
      namespaces: new Map([...this.#namespaces, ...namespaces]),
      names: this.#names,
    };
  }

  /** Returns a pod like another one, made once for each difference. */
  pod(like: Pod, changes: Partial<Pick<Pod, "namespace" | "labels" | "ports">>): Pod {
    const { namespace = like.namespace, labels = like.labels, ports = like.ports } = changes;
    const key = JSON.stringify([like.namespace, like.name, namespace, Object.entries(labels).sort(), ports]);
    let pod = this.#pods.get(key);
    if (pod === undefined) {
      const { uid: _uid, nodeName: _node, ...rest } = like;
      pod = { ...rest, namespace, labels, ports, name: `${MADE_UP}${this.#pods.size}`, hostNetwork: false };
      this.#pods.set(key, pod);
    }
    return pod;
  }

  /** Returns a namespace with labels, its own name among them; one that the cluster has keeps its own. */
  namespace(name: string, labels: Readonly<Record<string, string>>): void {
    this.#namespaces.set(name, { name, labels: { ...labels, [NAMESPACE_NAME]: name }, labelsKnown: true });
  }

  /** Returns another pod of the same workload, for connections among its pods. */
  twin(pod: Pod): Pod {
    let twin = this.#twins.get(pod);
    if (twin === undefined) this.#twins.set(pod, (twin = { ...pod, name: `${pod.name}${TWIN}` }));
    return twin;
  }

  /**
   * Returns an address from `first` to `last` to which just this name leads (undefined: none does); undefined where all that were tried
   * have others.
   */
  freeAddress(first: Address, last: Address, name: string | undefined): Address | undefined {
    for (let i = 0n; i < TRIED && first + i <= last; i++) {
      const address = first + i;
      if (this.#known.has(address) && (this.#known.get(address) ?? "") !== (name ?? "")) continue;
      this.address(address, name);
      return address;
    }
    return undefined;
  }

  /** Says which name leads to an outside address, or that none does. */
  address(address: Address, name: string | undefined): void {
    this.#known.set(address, name);
    if (name === undefined) this.#names.know(address);
    else this.#names.add(address, name);
  }
}

/** Returns what both sides say of a connection. */
export function judgeProbe(
  { source, destination, protocol, port, sourcePort, requests }: AskedConnection,
  evaluator: Evaluator,
): Judgement {
  const ends = { source, via: undefined, arrivesFrom: undefined, targets: [{ participant: destination, port }] };
  return judgeEnds(evaluator, ends, { protocol, sourcePort, hasIcmpType: true, requests: () => requests });
}

/** Returns probes as traffic that policy sets are asked about. */
export function probeTraffic(probes: readonly Probe[]): AskedTraffic {
  const podOf = (participant: Participant) => (participant.type === "pod" && !participant.pod.hostNetwork ? participant.pod : undefined);
  return {
    size: probes.length,
    sourceOf: (i) => podOf(probes[i].source),
    destinationsOf: (i) => {
      const pod = podOf(probes[i].destination);
      return pod === undefined ? [] : [pod];
    },
    isNoticed: (before, after) => before !== after,
    judge: (i, evaluator) => judgeProbe(probes[i], evaluator),
  };
}
