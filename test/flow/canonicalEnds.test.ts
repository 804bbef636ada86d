import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalEnds } from "../../src/flow/canonicalEnds.ts";
import { connect } from "../../src/flow/connections.ts";
import { ACCEPTED, FlowTable, UNJUDGED } from "../../src/flow/flowTable.ts";
import { addStated } from "../../src/flow/logged.ts";
import { LoggedParties, type LoggedParty } from "../../src/flow/parties.ts";
import { TCP } from "../../src/net/protocol.ts";
import { BASE } from "../capture/packets.ts";
import { epochsOf, NOTHING_KNOWN } from "../capture/replay.ts";
import { valuesOf } from "./madeConnections.ts";

const SERVER = 0x0a000002;
const WEB = { pod: "shop/web" };
const WEB_LABELS = { pod: "shop/web", labels: ["k8s:app=web"] };
const WEB_WORKLOAD = { pod: "shop/web", workload: "Deployment/web" };

/** Records of connections to one address, each by a reporter that tells a party of it; `{}`: its address alone. */
function told(parties: readonly LoggedParty[], epochs?: ReturnType<typeof epochsOf>, ports = parties.map(() => 80)) {
  const table = new FlowTable();
  if (epochs !== undefined) table.epochs = epochs(table);
  const logged = new LoggedParties();
  const source = table.addresses.internIPv4(0x0a000001);
  const ids = parties.map((party, i) => {
    const destination = table.addresses.intern(0, 0, 0xffff, SERVER, logged.intern(party));
    addStated(table, {
      source,
      destination,
      protocol: TCP,
      sourcePort: 40000 + i,
      destinationPort: ports[i],
      start: { seconds: BASE, nanoseconds: 0 },
      origin: table.origins.of(`format ${i}`, ""),
      bits: UNJUDGED,
      responder: ACCEPTED,
      packets: 1,
      bytes: 100,
    });
    return destination;
  });
  const standing = canonicalEnds(table, logged);
  const connections = connect(table, NOTHING_KNOWN, undefined, logged);
  /** What stands for each end, as the party that it tells. */
  const stands = ids.map((id) => logged.get(table.addresses.tagOf(standing?.[id] ?? id)));
  return { table, ids, standing, stands, connections };
}

test("where no log says anything of any end, there is nothing to stand for", () => {
  expect(told([{}, {}]).standing).toBeUndefined();
});

describe("one address that logs tell of in several ways", () => {
  test.each<[what: string, parties: LoggedParty[], stands: LoggedParty[]]>([
    ["by its pod and by its address", [{}, WEB], [WEB, WEB]],
    ["by its pod, and more", [WEB, WEB_LABELS, {}, WEB_WORKLOAD], [WEB_LABELS, WEB_LABELS, WEB_LABELS, WEB_LABELS]],
    ["by labels and by the pod", [{ labels: ["k8s:app=web"] }, WEB], [WEB, WEB]],
    ["as two pods, over time: each is its own", [WEB, { pod: "shop/api" }, {}], [WEB, { pod: "shop/api" }, {}]],
    [
      "with two sets of labels: each is its own",
      [WEB_LABELS, { labels: ["k8s:app=api"] }, {}],
      [WEB_LABELS, { labels: ["k8s:app=api"] }, {}],
    ],
    // The broker names the pods of those rows only whose address would say somebody else.
    ["by a log that is sure of the pod: an address alone is who it says", [{ ...WEB, isSure: true }, {}], [{ ...WEB, isSure: true }, {}]],
    ["by one that is sure and one that is not", [{ ...WEB, isSure: true }, WEB], [{ ...WEB, isSure: true }, WEB]],
  ])("%s", (_what, parties, expected) => {
    expect(told(parties).stands).toEqual(expected);
  });

  test("what was dialled on the way is no part of who an end is", () => {
    const via = { addressId: 0, port: 80 };
    expect(told([{ via }, WEB, {}]).stands).toEqual([WEB, WEB, WEB]);
    expect(told([{ via }, {}]).stands).toEqual([{}, {}]);
    expect(told([{ ...WEB, via }, WEB]).stands).toEqual([WEB, WEB]);
    expect(told([{ via }, { pod: "shop/api" }, WEB]).stands).toEqual([{}, { pod: "shop/api" }, WEB]);
  });

  test("an address that several parties have over time, as objects say, is not whom a log calls by it", () => {
    expect(told([WEB, {}], epochsOf("10.0.0.2", BASE + 100)).stands).toEqual([WEB, {}]);
    expect(told([WEB, {}], epochsOf("10.0.0.9", BASE + 100)).stands).toEqual([WEB, WEB]);
  });

  test("connections to it are one where it is one, and as many as it has parties where not", () => {
    expect(valuesOf(told([{}, WEB, WEB_LABELS]).connections, "count")).toEqual([3]);
    expect(told([{}, WEB, { pod: "shop/api" }]).connections.size).toBe(3);
    expect(told([{}, WEB], undefined, [80, 81]).connections.size).toBe(2);
  });

  const party = fc.constantFrom<LoggedParty>(
    {},
    WEB,
    WEB_LABELS,
    WEB_WORKLOAD,
    { pod: "shop/api" },
    { labels: ["k8s:app=web"] },
    { ...WEB, isSure: true },
  );
  test("who stands for an end does not hang on the order of records, stands for itself, and has its address", () => {
    fc.assert(
      fc.property(
        fc
          .array(party, { minLength: 1, maxLength: 6 })
          .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => {
          const one = told(all);
          const key = ({ stands }: typeof one, parties: readonly LoggedParty[]) =>
            stands.map((each, i) => JSON.stringify([parties[i], each])).sort();
          expect(key(told(shuffled), shuffled)).toEqual(key(one, all));
          const { standing, table, ids } = one;
          if (standing === undefined) return;
          for (const id of ids) {
            expect(standing[standing[id]] ?? standing[id]).toBe(standing[id]);
            expect(table.addresses.addressOf(standing[id])).toBe(table.addresses.addressOf(id));
          }
        },
      ),
    );
  });
});
