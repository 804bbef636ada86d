import type { Cluster } from "../cluster/snapshot.ts";
import type { AddressEpochs, FlowTable } from "../flow/flowTable.ts";
import type { Surroundings } from "../flow/joining.ts";
import type { Address } from "../net/address.ts";
import { addressFromIPv4 } from "../net/address.ts";

/** Answers from a cluster's objects what the joining of packets into connections asks. */
export function surroundingsOf(cluster: Cluster): Surroundings {
  const { timeline, serviceIndex } = cluster;
  return {
    ownerKind(address, seconds) {
      const { type } = timeline.ownerAt(address, seconds);
      return type === "pod" || type === "node" ? type : "other";
    },
    isServing: (address, protocol, port) => serviceIndex.isServing(address, protocol, port),
    servedPorts: serviceIndex.servedPorts(),
    isDialled: (address, protocol, port) => serviceIndex.find(address, protocol, port) !== undefined,
    leadsToPort: (address, protocol, port, _backend, backendPort) => {
      const backends = serviceIndex.find(address, protocol, port)?.backends ?? [];
      return backends.length === 0 || backends.some((candidate) => candidate.port === backendPort);
    },
    leadsTo: (address, protocol, port, backend, backendPort) =>
      serviceIndex
        .find(address, protocol, port)
        ?.backends.some((candidate) => candidate.address === backend && candidate.port === backendPort) ?? false,
  };
}

/** Tells a flow table which addresses changed hands; undefined where none did, so that packets are not asked about it. */
export function epochsOf(cluster: Cluster, table: FlowTable): AddressEpochs | undefined {
  const { timeline } = cluster;
  const reused = cluster.pods.some((pod) => pod.addresses.some((address) => timeline.isReused(address)));
  if (!reused) return undefined;
  const addressOf = (word: number, wordIsId: boolean): Address => (wordIsId ? table.addresses.addressOf(word) : addressFromIPv4(word));
  return {
    isReused: (word, wordIsId) => timeline.isReused(addressOf(word, wordIsId)),
    epochAt: (word, wordIsId, seconds) => timeline.epochAt(addressOf(word, wordIsId), seconds),
  };
}
