import { expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { Evaluator } from "../../src/evaluate/evaluator.ts";
import { profileOf } from "../../src/evaluate/profile.ts";
import { Simulation } from "../../src/evaluate/simulation.ts";
import { surroundingsOf } from "../../src/evaluate/surroundings.ts";
import { connect } from "../../src/flow/connections.ts";
import { FlowTable, STATED_ALLOWED } from "../../src/flow/flowTable.ts";
import { L7Hints } from "../../src/flow/hints.ts";
import { addStated } from "../../src/flow/logged.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { parseAddress, wordsOfAddress } from "../../src/net/address.ts";
import { TCP } from "../../src/net/protocol.ts";

const pod = (namespace: string, ip: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace, labels: { app: "p" } },
  status: { podIP: ip },
});
const [A, B, OUTSIDE] = ["10.0.0.1", "10.0.0.2", "198.51.100.1"];

/** The verdict on a connection of a user who may read policies of namespace `a` alone. */
function judged(from: string, to: string) {
  const cluster = readCluster(
    readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: [pod("a", A), pod("b", B)] }), "x.json"),
  );
  const table = new FlowTable();
  const parties = new LoggedParties();
  const id = (ip: string) => table.addresses.intern(...wordsOfAddress(parseAddress(ip) as bigint), 0);
  const flow = { destinationPort: 80, protocol: TCP, start: undefined, origin: 1 };
  addStated(table, { source: id(from), destination: id(to), ...flow, bits: STATED_ALLOWED, packets: 0, bytes: 0 });
  const connections = connect(table, surroundingsOf(cluster), new L7Hints(), parties);
  const names = new NameTable();
  const resolver = new EndpointResolver(cluster, table.addresses, names, parties);
  const evaluator = new Evaluator({ policies: [], tiers: [], sets: [] }, { ...cluster, names }, profileOf("generic", {}));
  const isUnread = (namespace: string) => namespace !== "a";
  const simulation = new Simulation(connections, table.addresses, resolver, evaluator, evaluator, () => [], undefined, isUnread);
  const { verdict, egress, ingress } = simulation.judgement(0);
  return [verdict, egress.verdict, ingress.verdict];
}

test("what is allowed of a pod whose policies could not be read is open", () => {
  expect(judged(A, B)).toEqual(["unknown", "allow", "unknown"]);
  expect(judged(B, A)).toEqual(["unknown", "unknown", "allow"]);
  expect(judged(A, OUTSIDE)).toEqual(["allow", "allow", "allow"]);
});
