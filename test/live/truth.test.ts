import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SimulateFlags, simulate } from "../../src/cli/simulate.ts";
import type { Endpoint } from "../../src/evaluate/endpoints.ts";
import { OUTCOMES } from "../../src/flow/outcome.ts";
import { formatAddress } from "../../src/net/address.ts";
import { protocolName } from "../../src/net/protocol.ts";
import type { SimulationResult } from "../../src/report/simulationResult.ts";
import {
  bodyOf,
  hasRecordings,
  RECORDED_TOKEN,
  RECORDINGS,
  type RecordedBroker,
  readExchanges,
  startRecordedBroker,
} from "./recordedBroker.ts";
import type { TrafficRow } from "./smallWorld.ts";

/* The world that a real broker recorded, against what really happened in it. */

interface TrueFlow {
  readonly src: string;
  readonly dst: string;
  readonly proto: string;
  /** The port that the destination listened on. */
  readonly port: number;
  readonly via: string | null;
  readonly verdict: "ALLOW" | "DROP";
}

/** A connection as it was reported; `ends`: the destination, or the Service with all backends that it may have been. */
interface Reported {
  readonly source: string;
  readonly ends: readonly string[];
  readonly protocol: string;
  readonly port: number;
  readonly via: string | null;
  readonly attempts: readonly number[];
  readonly sourceIp: string;
  /** What was dialled: the Service's address and port where one stands between. */
  readonly dialled: string;
}

interface Truth {
  readonly flows: readonly TrueFlow[];
  readonly deadPods: readonly { readonly namespace: string; readonly name: string }[];
}
const TRUTH: Truth = hasRecordings() ? JSON.parse(readFileSync(join(RECORDINGS, "truth.json"), "utf8")) : { flows: [], deadPods: [] };

const FLAGS: SimulateFlags = {
  ...{ pcap: [], flows: [], filename: [], recursive: false, staged: false, policyMode: "overlay", cni: "auto" },
  snapshot: [join(RECORDINGS, "world.json")],
};

function nameOf({ type, namespace, name, ip }: Endpoint): string {
  if (type === "pod") return `${namespace}/${name}`;
  return type === "service" ? `svc:${namespace}/${name}` : `ip:${ip}`;
}

function reportedOf({ simulation }: SimulationResult): Reported[] {
  const { connections } = simulation;
  return Array.from({ length: connections.size }, (_, i) => {
    const { sourceEndpoint, destinationEndpoint, port, via, targets } = simulation.ends(i);
    const backends = targets.length > 1 ? targets.map((target) => nameOf(simulation.endpointOf(target.participant, target.address))) : [];
    return {
      source: nameOf(sourceEndpoint),
      ends: [nameOf(destinationEndpoint), ...backends],
      protocol: protocolName(connections.protocol(i)),
      port,
      via: via?.service === undefined ? null : `${via.service}:${via.port}`,
      attempts: connections.attempts(i),
      sourceIp: sourceEndpoint.ip ?? "?",
      dialled: via === undefined ? `${destinationEndpoint.ip}:${port}` : `${formatAddress(via.address)}:${via.port}`,
    };
  });
}

const lineOf = ({ source, ends, protocol, port, via }: Reported) =>
  `${source} -> ${ends.join(" or ")} ${protocol}/${port}${via === null ? "" : ` via ${via}`}`;
const key = (source: string, destination: string, protocol: string, port: number | string) =>
  `${source} -> ${destination} ${protocol}/${port}`;
const keyOf = ({ src, dst, proto, port }: TrueFlow) => key(src, dst, proto.toUpperCase(), port);

/** What the broker lost when it was told (README, trap 3), so that nobody can know of it. */
const LOST: Readonly<Record<string, string>> = {
  "shop/cart-55g9bmmtg-6bswz -> kube-system/coredns-htshq2xgw-zcpkl UDP/53":
    "3a: its address was a dead pod's, whose row of the same flow stands for both",
  "shop/catalog-825jn2h8c-2rx5n -> kube-system/coredns-htshq2xgw-zcpkl UDP/53":
    "3a: its address was a dead pod's, whose row of the same flow stands for both",
  "shop/catalog-825jn2h8c-wqkcd -> kube-system/coredns-htshq2xgw-zcpkl UDP/53":
    "3b: it asked over TCP first, and the broker's check ignores the protocol",
};

/** A row that the broker was told and truth.json does not list: to an IPv6 address which no object of the world has. */
const UNTOLD = "fd00:10:244::2:5:9090";

describe.skipIf(!hasRecordings())("the recorded world", () => {
  let broker: RecordedBroker;
  let reported: readonly Reported[] = [];
  let result: SimulationResult;
  const flows = TRUTH.flows.filter(({ proto }) => /^(tcp|udp)$/i.test(proto));
  const dead = new Set(TRUTH.deadPods.map(({ namespace, name }) => `${namespace}/${name}`));
  /** Truth tells of live pods, TCP and UDP. */
  const isTold = ({ source, ends, protocol, dialled }: Reported) =>
    /^(TCP|UDP)$/.test(protocol) && ![source, ...ends].some((end) => dead.has(end)) && dialled !== UNTOLD;

  beforeAll(async () => {
    broker = await startRecordedBroker({ recordings: RECORDINGS });
    result = await simulate({ ...FLAGS, brokerUrl: broker.url });
    reported = reportedOf(result);
  });
  afterAll(() => broker.stop());

  test("every flow is reported, but for three that the broker lost", () => {
    const exact = new Set(reported.flatMap(({ source, ends, protocol, port }) => ends.map((end) => key(source, end, protocol, port))));
    const anyPort = new Set(
      reported.flatMap(({ source, ends, protocol, via }) =>
        via === null ? [] : ends.map((end) => `${key(source, end, protocol, "any")} ${via}`),
      ),
    );
    const missing = flows.filter(
      (flow) =>
        !exact.has(keyOf(flow)) &&
        !(flow.via !== null && anyPort.has(`${key(flow.src, flow.dst, flow.proto.toUpperCase(), "any")} ${flow.via}`)),
    );
    expect(flows.length).toBe(4580);
    expect(missing.map(keyOf).sort()).toEqual(Object.keys(LOST).sort());
  });

  test("nothing is reported that did not happen", () => {
    const happened = new Set(flows.map((flow) => `${keyOf(flow)} ${flow.via}`));
    // A headless Service is a name for pods' own addresses: nothing shows that it was used.
    for (const flow of flows) if (flow.via === "shop/redis:6379") happened.add(`${keyOf(flow)} null`);
    const viaService = new Set(
      flows.flatMap((flow) => (flow.via === null ? [] : `${key(flow.src, flow.dst, flow.proto.toUpperCase(), "any")} ${flow.via}`)),
    );
    // Which backend a Service led to, the broker may not tell: then one of those named must have been it.
    const invented = reported
      .filter(isTold)
      .filter(({ source, ends, protocol, port, via }) =>
        ends.every(
          (end) =>
            !happened.has(`${key(source, end, protocol, port)} ${via}`) &&
            !(ends.length > 1 && viaService.has(`${key(source, end, protocol, "any")} ${via}`)),
        ),
      );
    expect(invented.map(lineOf)).toEqual([]);
  });

  test("what dead pods did is told of them, and of nobody who has their addresses now", () => {
    const exchanges = readExchanges(RECORDINGS);
    const all = exchanges.find(({ path, status }) => path.startsWith("/pod/traffic?limit=20000") && status === 200)!;
    const rows = (JSON.parse(bodyOf(all, exchanges).toString()) as TrafficRow[]).filter((row) =>
      dead.has(`${row.pod_namespace}/${row.pod_name}`),
    );
    const wanted = rows.map((row) =>
      row.traffic_type === "INGRESS"
        ? `${row.traffic_in_out_ip} -> ${row.pod_namespace}/${row.pod_name} ${row.ip_protocol}/${row.pod_port}`
        : `${row.pod_namespace}/${row.pod_name} -> ${row.traffic_in_out_ip}:${row.traffic_in_out_port} ${row.ip_protocol}`,
    );
    const told = reported.flatMap(({ source, ends, protocol, port, sourceIp, dialled }) => {
      if (dead.has(source)) return [`${source} -> ${dialled} ${protocol}`];
      return dead.has(ends[0]) ? [`${sourceIp} -> ${ends[0]} ${protocol}/${port}`] : [];
    });
    expect(rows.length).toBeGreaterThan(300);
    expect(told.sort()).toEqual(wanted.sort());
  });

  test("what was allowed is established, what was dropped is dropped", () => {
    const [established, dropped] = [OUTCOMES.indexOf("established"), OUTCOMES.indexOf("dropped")];
    // Where a Service stands between and the backend is not known, some backend must have met this end.
    const verdicts = new Map<string, Set<string>>();
    for (const flow of flows) {
      for (const name of [
        keyOf(flow),
        ...(flow.via === null ? [] : [`${key(flow.src, flow.dst, flow.proto.toUpperCase(), "any")} ${flow.via}`]),
      ])
        verdicts.set(name, (verdicts.get(name) ?? new Set()).add(flow.verdict));
    }
    const wrong: string[] = [];
    let checked = 0;
    for (const { source, ends, protocol, port, via, attempts } of reported.filter(isTold)) {
      checked++;
      const told = new Set([...(attempts[established] > 0 ? ["ALLOW"] : []), ...(attempts[dropped] > 0 ? ["DROP"] : [])]);
      const names = ends.flatMap((end) => [key(source, end, protocol, port), `${key(source, end, protocol, "any")} ${via}`]);
      const wanted = new Set(names.flatMap((name) => [...(verdicts.get(name) ?? [])]));
      const others = attempts.some((count, k) => count > 0 && k !== established && k !== dropped);
      const isExact = ends.length === 1 ? [...wanted].every((verdict) => told.has(verdict)) : true;
      if (others || ![...told].every((verdict) => wanted.has(verdict)) || !isExact)
        wrong.push(`${names[0]}: reported ${[...told]}, was ${[...wanted]}`);
    }
    expect(checked).toBeGreaterThan(3000);
    expect(wrong).toEqual([]);
    const dropsTold = reported.filter(({ protocol, attempts }) => /^(TCP|UDP)$/.test(protocol) && attempts[dropped] > 0).length;
    expect(dropsTold).toBe(new Set(flows.filter(({ verdict }) => verdict === "DROP").map(keyOf)).size);
  });

  test("the report says what the broker cannot tell, and of no row that it was left out", () => {
    expect(result.inputs).toMatchObject([{ format: "broker", records: 4934, skipped: {}, warnings: [] }]);
    expect(result.warnings.filter((warning) => /broker/.test(warning))).toEqual([
      expect.stringMatching(/first seen, and neither how often/),
    ]);
  });

  test("is the same behind a token", async () => {
    const guarded = await startRecordedBroker({ recordings: RECORDINGS, token: RECORDED_TOKEN });
    process.env.KGUARDIAN_BROKER_TOKEN = RECORDED_TOKEN;
    try {
      expect(reportedOf(await simulate({ ...FLAGS, brokerUrl: guarded.url }))).toEqual(reported);
    } finally {
      delete process.env.KGUARDIAN_BROKER_TOKEN;
      await guarded.stop();
    }
  });
});
