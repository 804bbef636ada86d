import { expect, test } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readCluster } from "../../src/cluster/snapshot.ts";
import { EndpointResolver } from "../../src/evaluate/endpoints.ts";
import { FlowTable } from "../../src/flow/flowTable.ts";
import { NameTable } from "../../src/flow/names.ts";
import { LoggedParties } from "../../src/flow/parties.ts";
import { parseAddress, wordsOfAddress } from "../../src/net/address.ts";

/** Two pods of one name in turn, as a StatefulSet makes them. */
const db = (address: string, from: string, until?: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "db-0", namespace: "shop", uid: address, labels: { at: address }, ...(until ? { deletionTimestamp: until } : {}) },
  status: { podIP: address, startTime: from },
});
const OLD = db("10.0.0.41", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
const NEW = db("10.0.0.42", "2026-01-01T01:00:10Z");
const seconds = (text: string) => Date.parse(text) / 1000;

test.each([
  ["the one that has the address", "10.0.0.42", "2026-01-01T02:00:00Z", "10.0.0.42"],
  ["also where the clocks differ", "10.0.0.42", "2026-01-01T01:00:05Z", "10.0.0.42"],
  ["also without a time", "10.0.0.41", undefined, "10.0.0.41"],
  ["by the time, where none has the address", "10.0.0.99", "2026-01-01T00:30:00Z", "10.0.0.41"],
  ["the latest, where nothing tells", "10.0.0.99", undefined, "10.0.0.42"],
])("of pods of one name a record means %s", (_what, address, time, expected) => {
  for (const items of [
    [OLD, NEW],
    [NEW, OLD],
  ]) {
    const cluster = readCluster(readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items }), "x.json"));
    const { addresses } = new FlowTable();
    const parties = new LoggedParties();
    const tag = parties.intern({ pod: "shop/db-0", isSure: true });
    const id = addresses.intern(...wordsOfAddress(parseAddress(address) as bigint), tag);
    const resolver = new EndpointResolver(cluster, addresses, new NameTable(), parties);
    const participant = resolver.endAt(id, time === undefined ? Number.NaN : seconds(time)).participant;
    expect(participant).toMatchObject({ type: "pod", pod: { labels: { at: expected } } });
  }
});

test("a pod that no object describes is unknown, where the log is sure of its name", () => {
  const cluster = readCluster(readManifest(JSON.stringify({ apiVersion: "v1", kind: "List", items: [NEW] }), "x.json"));
  const { addresses } = new FlowTable();
  const parties = new LoggedParties();
  const tag = parties.intern({ pod: "shop/gone-1", isSure: true });
  const address = parseAddress("10.0.0.42") as bigint;
  const resolver = new EndpointResolver(cluster, addresses, new NameTable(), parties);
  const participant = resolver.endAt(addresses.intern(...wordsOfAddress(address), tag), Number.NaN).participant;
  expect(participant.type).toBe("unknown");
  expect(resolver.endpointOf(participant, address, Number.NaN)).toMatchObject({
    type: "unknown",
    namespace: "shop",
    name: "gone-1",
    ip: "10.0.0.42",
  });
});
