import fc from "fast-check";
import { expect, it } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { readProfile } from "../../src/synth/readProfile.ts";
import { RecordWriter } from "../../src/synth/records.ts";
import { prepareTraffic } from "../../src/synth/traffic.ts";
import { profileOf, START, shop } from "./shop.ts";

const optional = <T>(fields: Record<string, fc.Arbitrary<T>>) => fc.record(fields, { requiredKeys: [] });
const spread = (median: fc.Arbitrary<unknown>) => fc.record({ median, sigma: fc.constantFrom(0, 0.5, 5) }, { requiredKeys: ["median"] });
const tier = fc.constantFrom("entry", "front", "middle", "data", "system", "dns");
const pods = optional<unknown>({ namespace: fc.constantFrom("shop", "default", "nowhere"), tier, count: fc.constantFrom(1, 3) });
const nodes = optional<unknown>({ count: fc.constantFrom(1, 2) });
const outside = optional<unknown>({
  cidrs: fc.constantFrom(["198.51.100.0/30"], ["2001:db8:9::/64"], ["198.51.100.7/32"]),
  hosts: fc.constantFrom(1, 300),
});
const named = optional<unknown>({ names: fc.constantFrom(["a.example"], ["a.example", "b.example"]) });
const service = optional<unknown>({ namespace: fc.constantFrom("shop", "monitoring"), tier });
const share = fc.constantFrom(0.1, 1, 7);

const exchange = optional<unknown>({
  kind: fc.constantFrom("auto", "bytes", "http", "http2", "tls", "dns"),
  requests: fc.constantFrom(
    [{ path: "/" }],
    [
      { path: '/"', method: "PUT", status: 204 },
      { path: "/b", weight: 0 },
    ],
  ),
  missing: fc.constantFrom(0, 0.5, 1),
  request: spread(fc.constantFrom(0, 1, 9000)),
  response: spread(fc.constantFrom(0, 1, 90_000)),
  count: spread(fc.constantFrom(1, 5)),
  pause: spread(fc.constantFrom("0s", "1ms", "5s")),
});
const port = fc.constantFrom<unknown>(80, [53, 8080], "8000-8003");
const shared = {
  weight: fc.constantFrom(0, 1, 3),
  order: fc.constantFrom("random", "sweep"),
  exchange,
  roundTrip: spread(fc.constantFrom("0.1ms", "1ms", "20s")),
  endings: optional({ finished: share, reset: share, open: share, refused: share, unanswered: share }).filter(
    (shares) => Object.keys(shares).length > 0,
  ),
  closed: optional({ refused: share, unanswered: share }).filter((shares) => Object.keys(shares).length > 0),
};
const call = fc.oneof(
  fc.record(
    {
      ...shared,
      from: fc.oneof(fc.constant({ callers: {} }), fc.record({ pods }), fc.record({ external: outside }), fc.record({ nodes })),
      to: fc.record({ service }),
    },
    { requiredKeys: ["from", "to"] },
  ),
  fc.record(
    { ...shared, port, from: fc.record({ pods }), to: fc.oneof(fc.record({ pods }), fc.record({ nodes }), fc.record({ external: named })) },
    { requiredKeys: ["from", "to", "port"] },
  ),
);
const span = fc.constantFrom("0s", "10%", "60%", "100%", "3s");
const cycle = fc.constantFrom("10%", "7s", "1000h");
const event = fc.oneof(
  fc.record({ replace: fc.record({ pods, at: span, length: span, reuseAddresses: fc.boolean(), grace: fc.constantFrom("10s", "30s") }) }),
  fc.record({ run: fc.record({ pods, every: cycle, length: span }) }),
  fc.record({ partition: fc.record({ nodes, at: span, length: span }) }),
);
const spec = fc.record(
  {
    calls: fc.array(call, { minLength: 1, maxLength: 4 }),
    events: fc.array(event, { maxLength: 3 }),
    arrivals: fc.oneof(
      fc.constantFrom<unknown>({ distribution: "poisson" }, { distribution: "even" }),
      fc.record({ distribution: fc.constant("diurnal"), period: cycle, peak: span, depth: fc.constantFrom(0, 1) }),
      fc.record({
        distribution: fc.constant("burst"),
        every: fc.constantFrom("10%", "7s"),
        length: span,
        factor: fc.constantFrom(1, 1000),
      }),
    ),
    families: fc.constantFrom({ IPv4: 1 }, { IPv4: 1, IPv6: 9 }),
    lookups: fc.boolean(),
    retries: fc.constantFrom({ count: 3, after: "100ms" }),
  },
  { requiredKeys: ["calls"] },
);

it("every profile that reads makes traffic in order, each record of which is whole, or says why not", () => {
  fc.assert(
    fc.property(spec, fc.integer({ min: 0, max: 1e6 }), (written, seed) => {
      const object = readManifest(JSON.stringify(profileOf(written as never)), "profile.json")[0];
      const { profile, problems } = readProfile(object);
      expect(problems).toEqual([]);
      const traffic = prepareTraffic(shop, profile!, { seed, startSeconds: START, durationSeconds: 60, rate: 5 });
      if ("isEmpty" in traffic) {
        expect(traffic.warnings.length > 0 || written.calls.every((each) => each.weight === 0)).toBe(true);
        return;
      }
      const writer = new RecordWriter();
      let latest = START * 1e6 - 1;
      let count = 0;
      for (const { conversation, measure } of traffic.conversations()) {
        expect(conversation.start).toBeGreaterThan(latest);
        expect(measure.end).toBeGreaterThanOrEqual(conversation.start);
        expect(measure.packets).toBeGreaterThan(0);
        latest = conversation.start;
        writer.add(conversation, measure);
        count++;
      }
      const records = writer
        .take()
        .toString()
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line));
      expect(records.length).toBe(count);
      expect(records.every(({ bytes }) => bytes <= 0xffffffff)).toBe(true);
    }),
    { numRuns: 100 },
  );
}, 60_000);
