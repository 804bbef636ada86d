import { describe, expect, test } from "vitest";
import { connect } from "../../src/flow/connections.ts";
import { conversation, ethernet, ip4, pcap, type Recorded, record, sctp, sctpInit, tcp, timed, udp } from "../capture/packets.ts";
import { replay, surroundings } from "../capture/replay.ts";
import { valuesOf } from "./madeConnections.ts";

const POD = "10.244.1.5";
const OTHER_POD = "10.244.1.6";
const VIP = "10.96.0.1";
const BACKEND = "10.244.2.7";
const BACKEND_2 = "10.244.2.8";
const NODE = "192.168.50.11";
const OUTSIDE = "203.0.113.10";

const cluster = surroundings({
  nodes: [NODE],
  services: {
    [`TCP ${VIP} 80`]: [`TCP ${BACKEND} 8080`, `TCP ${BACKEND_2} 8080`],
    [`UDP ${VIP} 53`]: [`UDP ${BACKEND} 5353`, `UDP ${BACKEND_2} 5353`],
    [`SCTP ${VIP} 5000`]: [`SCTP ${BACKEND} 5000`],
    [`TCP ${NODE} 30080`]: [`TCP ${BACKEND} 8080`],
  },
});

type End = [address: string, port: number];
const talk = ([client, clientPort]: End, [server, port]: End, { seq = 1000, from = 0 } = {}) =>
  timed(conversation(client, clientPort, server, port, { seq }), { from });
const ask = ([client, clientPort]: End, [server, port]: End, from = 0): Recorded[] =>
  timed([ip4(client, server, udp(clientPort, port)), ip4(server, client, udp(port, clientPort))], { from });
/** Only what the initiator sent, or only what the responder sent. */
const requests = (records: Recorded[]) => records.filter((_, i) => [0, 2, 3, 5, 7].includes(i));
const answers = (records: Recorded[]) => records.filter((_, i) => [1, 4, 6].includes(i));

const NAT: [what: string, lines: string[], records: Recorded[]][] = [
  [
    "DNAT: before and after",
    [`TCP ${POD} > (${VIP}:80) > ${BACKEND}:8080 x1 8p established`],
    [...talk([POD, 40000], [VIP, 80]), ...talk([POD, 40000], [BACKEND, 8080], { from: 1e-5 })],
  ],
  [
    "DNAT: only before; the Service stands for its backends",
    [`TCP ${POD} > (${VIP}:80) > ${VIP}:80 x1 8p established`],
    talk([POD, 40000], [VIP, 80]),
  ],
  ["DNAT: only after", [`TCP ${POD} > ${BACKEND}:8080 x1 8p established`], talk([POD, 40000], [BACKEND, 8080])],
  [
    "DNAT: two connections to two backends",
    [`TCP ${POD} > (${VIP}:80) > ${BACKEND}:8080 x1 8p established`, `TCP ${POD} > (${VIP}:80) > ${BACKEND_2}:8080 x1 8p established`],
    [
      ...talk([POD, 40000], [VIP, 80]),
      ...talk([POD, 40000], [BACKEND, 8080], { from: 1e-5 }),
      ...talk([POD, 40001], [VIP, 80], { seq: 2000, from: 0.1 }),
      ...talk([POD, 40001], [BACKEND_2, 8080], { seq: 2000, from: 0.1001 }),
    ],
  ],
  [
    "DNAT: the same port with another sequence number is another connection",
    [`TCP ${POD} > (${VIP}:80) > ${VIP}:80 x1 8p established`, `TCP ${POD} > ${BACKEND}:8080 x1 8p established`],
    [...talk([POD, 40000], [VIP, 80]), ...talk([POD, 40000], [BACKEND, 8080], { seq: 99, from: 1e-5 })],
  ],
  [
    "DNAT: to a backend that the endpoints no longer name: the sequence number proves it",
    [`TCP ${POD} > (${VIP}:80) > 10.244.9.9:8080 x1 8p established`],
    [...talk([POD, 40000], [VIP, 80]), ...talk([POD, 40000], ["10.244.9.9", 8080], { from: 1e-5 })],
  ],
  [
    "DNAT: half views (requests to the Service, answers from the backend)",
    [`TCP ${POD} > (${VIP}:80) > ${BACKEND}:8080 x1 8p established`],
    [...requests(talk([POD, 40000], [VIP, 80])), ...answers(talk([POD, 40000], [BACKEND, 8080], { from: 1e-5 }))],
  ],
  [
    "DNAT: half views the other way round",
    [`TCP ${POD} > (${VIP}:80) > ${BACKEND}:8080 x1 8p established`],
    [...answers(talk([POD, 40000], [VIP, 80])), ...requests(talk([POD, 40000], [BACKEND, 8080], { from: 1e-5 }))],
  ],
  [
    "DNAT: UDP",
    [`UDP ${POD} > (${VIP}:53) > ${BACKEND}:5353 x1 2p established ~`],
    [...ask([POD, 40000], [VIP, 53]), ...ask([POD, 40000], [BACKEND, 5353], 1e-5)],
  ],
  [
    "DNAT: UDP to one that is no backend stays two",
    [`UDP ${POD} > (${VIP}:53) > ${VIP}:53 x1 2p established ~`, `UDP ${POD} > 10.244.9.9:5353 x1 2p established ~`],
    [...ask([POD, 40000], [VIP, 53]), ...ask([POD, 40000], ["10.244.9.9", 5353], 1e-5)],
  ],
  [
    "DNAT: an hour apart is not together",
    [`UDP ${POD} > (${VIP}:53) > ${VIP}:53 x1 2p established ~`, `UDP ${POD} > ${BACKEND}:5353 x1 2p established ~`],
    [...ask([POD, 40000], [VIP, 53]), ...ask([POD, 40000], [BACKEND, 5353], 3600)],
  ],
  [
    "DNAT: SCTP by its tag",
    [`SCTP ${POD} > (${VIP}:5000) > ${BACKEND}:5000 x1 1p unanswered`],
    [VIP, BACKEND].map((to, i) => record(i * 1e-5, ethernet(ip4(POD, to, sctp(1, 5000, 1, sctpInit(9)))))),
  ],
  [
    "SNAT: the same port",
    [`TCP ${POD} > ${OUTSIDE}:443 x1 8p established`],
    [...talk([POD, 40000], [OUTSIDE, 443]), ...talk([NODE, 40000], [OUTSIDE, 443], { from: 1e-5 })],
  ],
  [
    "SNAT: another port, the same sequence number",
    [`TCP ${POD} > ${OUTSIDE}:443 x1 8p established`],
    [...talk([POD, 40000], [OUTSIDE, 443]), ...talk([NODE, 61000], [OUTSIDE, 443], { from: 1e-5 })],
  ],
  [
    "SNAT: another port and another sequence number: the node's own",
    [`TCP ${POD} > ${OUTSIDE}:443 x1 8p established`, `TCP ${NODE} > ${OUTSIDE}:443 x1 8p established`],
    [...talk([POD, 40000], [OUTSIDE, 443]), ...talk([NODE, 61000], [OUTSIDE, 443], { seq: 5, from: 1e-5 })],
  ],
  [
    "SNAT: UDP with the same port",
    [`UDP ${POD} > ${OUTSIDE}:53 x1 2p established ~`],
    [...ask([POD, 40000], [OUTSIDE, 53]), ...ask([NODE, 40000], [OUTSIDE, 53], 1e-5)],
  ],
  [
    "SNAT: UDP with another port stays the node's",
    [`UDP ${POD} > ${OUTSIDE}:53 x1 2p established ~`, `UDP ${NODE} > ${OUTSIDE}:53 x1 2p established ~`],
    [...ask([POD, 40000], [OUTSIDE, 53]), ...ask([NODE, 61000], [OUTSIDE, 53], 1e-5)],
  ],
  ["SNAT: the pod's own view is not there", [`TCP ${NODE} > ${OUTSIDE}:443 x1 8p established`], talk([NODE, 40000], [OUTSIDE, 443])],
  [
    "SNAT: two pods with one port and their own sequence numbers",
    [`TCP ${POD} > ${OUTSIDE}:443 x1 8p established`, `TCP ${OTHER_POD} > ${OUTSIDE}:443 x1 8p established`],
    [
      ...talk([POD, 40000], [OUTSIDE, 443], { seq: 1 }),
      ...talk([OTHER_POD, 40000], [OUTSIDE, 443], { seq: 2 }),
      ...talk([NODE, 40000], [OUTSIDE, 443], { seq: 1, from: 1e-5 }),
      ...talk([NODE, 40001], [OUTSIDE, 443], { seq: 2, from: 1e-5 }),
    ],
  ],
  [
    "both: a node port with masquerade",
    [`TCP ${OUTSIDE} > (${NODE}:30080) > ${BACKEND}:8080 x1 8p established`],
    [...talk([OUTSIDE, 50000], [NODE, 30080]), ...talk([NODE, 61000], [BACKEND, 8080], { from: 1e-5 })],
  ],
  [
    "both: a node port without masquerade",
    [`TCP ${OUTSIDE} > (${NODE}:30080) > ${BACKEND}:8080 x1 8p established`],
    [...talk([OUTSIDE, 50000], [NODE, 30080]), ...talk([OUTSIDE, 50000], [BACKEND, 8080], { from: 1e-5 })],
  ],
  [
    "both: three views (Service, backend, behind the node)",
    [`TCP ${POD} > (${VIP}:80) > ${BACKEND}:8080 x1 8p established`],
    [
      ...talk([POD, 40000], [VIP, 80]),
      ...talk([POD, 40000], [BACKEND, 8080], { from: 1e-5 }),
      ...talk([NODE, 61000], [BACKEND, 8080], { from: 2e-5 }),
    ],
  ],
];

const byTime = (records: Recorded[]) => records.toSorted((x, y) => x.seconds - y.seconds || x.nanoseconds - y.nanoseconds);

describe("views before and after translation are one connection", () => {
  test.each(NAT)("%s", async (_what, lines, records) => {
    expect((await replay([pcap(byTime(records))], { surroundings: cluster })).lines).toEqual(lines);
  });
  test.each(NAT)("%s, the later packets first in the file", async (_what, lines, records) => {
    const { lines: read } = await replay([pcap(byTime(records).toReversed())], { surroundings: cluster });
    expect(read).toEqual(lines);
  });
});

describe("what is not one connection", () => {
  // An NTP daemon sends from port 123. Of two pods' queries that leave by one node, one keeps its port; NatViews unites the node's
  // row with both pods' (same target, same port, no sequence number to tell), and with that both pods' connections become one.
  test.fails("SNAT: two pods that send from one UDP port stay two connections", async () => {
    const records = byTime([
      ...ask([POD, 123], [OUTSIDE, 123]),
      ...ask([OTHER_POD, 123], [OUTSIDE, 123], 0.1),
      ...ask([NODE, 123], [OUTSIDE, 123], 1e-5),
    ]);
    const { connections } = await replay([pcap(records)], { surroundings: cluster });
    expect(valuesOf(connections, "count").reduce((sum, count) => sum + count, 0)).toBe(2);
  });

  test("two SYNs without answer, to the Service and from the node, in different seconds", async () => {
    const one = (from: string, to: string, port: number, seq: number, at: number) =>
      record(at, ethernet(ip4(from, to, tcp(40000, port, "S", { seq }))));
    const { lines } = await replay([pcap([one(POD, VIP, 80, 1, 0), one(NODE, BACKEND, 8080, 2, 5)])], { surroundings: cluster });
    expect(lines).toEqual([`TCP ${POD} > (${VIP}:80) > ${VIP}:80 x1 1p unanswered`, `TCP ${NODE} > ${BACKEND}:8080 x1 1p unanswered`]);
  });

  // A SYN scan sends every SYN with one sequence number and from one port (nmap does). Each row in need is compared with up to 1024
  // others in each of four buckets: 64,000 such SYNs take 10 s, a million three minutes. Buckets are bounded, their sum is not.
  test("a scan of a Service costs no more than other traffic", async () => {
    const syns = (scan: boolean) =>
      pcap(
        Array.from({ length: 4000 }, (_, i) =>
          record(i * 1e-5, ethernet(ip4(`10.1.${i >> 7}.${i & 127}`, VIP, tcp(40000, 80, "S", { seq: scan ? 77 : i })))),
        ),
      );
    const time = async (scan: boolean) => {
      const { table } = await replay([syns(scan)]);
      const start = performance.now();
      connect(table, cluster);
      return performance.now() - start;
    };
    await time(false);
    const usual = await time(false);
    expect(await time(true)).toBeLessThan(20 + 10 * usual);
  });

  test("more rows on one socket than are compared: a warning", async () => {
    const records = Array.from({ length: 1500 }, (_, i) =>
      record(i * 1e-4, ethernet(ip4(NODE, `10.245.${i >> 8}.${i & 255}`, tcp(40000, 80, "S", { seq: 5 })))),
    );
    const { connections } = await replay([pcap(records)], { surroundings: cluster });
    expect(connections.size).toBe(1500);
    expect(connections.warnings).toEqual([expect.stringContaining("share a socket or sequence number")]);
  });
});
