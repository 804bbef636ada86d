import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readManifest } from "../../src/cluster/manifest.ts";
import { safeYaml } from "../../src/report/safeYaml.ts";
import { BUILTIN_PROFILES } from "../../src/synth/builtinProfiles.ts";
import type { TrafficProfile } from "../../src/synth/profile.ts";
import { readProfile } from "../../src/synth/readProfile.ts";
import { parsePorts, parseSpan } from "../../src/synth/units.ts";

const read = (text: string) => readProfile(readManifest(text, "profile.yaml")[0]);
/** The messages on a profile whose spec has these lines, which begin on line 5. */
const faults = (...lines: string[]) => {
  const head = ["apiVersion: kguardian.dev/v1alpha1", "kind: TrafficProfile", "metadata: {name: test}", "spec:"];
  return read([...head, ...lines.map((line) => `  ${line}`)].join("\n")).problems.map(
    ({ line, column, message }) => `${line}:${column} ${message}`,
  );
};
const CALLS = "calls: [{from: {callers: {}}, to: {service: {}}}]";

describe("a profile", () => {
  it.each([...BUILTIN_PROFILES])("built in as %s reads back as it was printed", (_name, profile) => {
    const { profile: again, problems } = read(safeYaml(profile, 120));
    expect(problems).toEqual([]);
    expect(again).toEqual(profile);
  });

  it("takes null for absent, as every object does", () => {
    const text = JSON.stringify({ ...BUILTIN_PROFILES.get("web"), status: null });
    const { profile } = read(text.replace('"rate":50', '"rate":null'));
    const { rate: _, ...spec } = BUILTIN_PROFILES.get("web")!.spec;
    expect((profile as TrafficProfile).spec).toEqual(spec);
  });

  it.each([
    [["calls: []"], ["5:3 is empty: there would be no traffic"]],
    [["rate: 5"], ["4:1 `calls` is required"]],
    [[CALLS, "arivals: {}"], ['6:3 unknown field "spec.arivals", did you mean `arrivals`']],
    [[CALLS, "rate: 2000000"], ["6:3 `2000000` is no number from 0.001 to 1000000"]],
    [[CALLS, "duration: 10"], ["6:3 `10` is no duration (500ms, 30s, 5m, 1h30m)"]],
    [
      [CALLS, "arrivals: {distribution: burst, every: 10s}"],
      ["6:3 `length` is required", "6:3 `factor` is required"],
    ],
    [[CALLS, "arrivals: {distribution: poisson, depth: 1}"], ['6:37 unknown field "spec.arrivals.depth"']],
    [[CALLS, "arrivals: {distribution: diurnal, period: 0s}"], ["6:37 `0s` is no time at all"]],
    [[CALLS, "families: {IPv4: 0}"], ["6:3 no share in it is more than 0"]],
    [["calls:", "- from: {service: {}}", "  to: {pods: {}}"], ['6:12 unknown field "spec.calls[0].from.service"']],
    [["calls:", "- from: {}", "  to: {pods: {}}"], ["6:5 takes one of `callers`, `pods`, `nodes`, `external`, found none"]],
    [["calls:", "- from: {callers: {}}", "  to: {pods: {}}"], ["6:12 only Services have callers: name the pods, or call a service"]],
    [["calls:", "- from: {pods: {}}", "  to: {nodes: {}}"], ["6:5 `port` is required: nodes and the outside declare none"]],
    [
      ["calls:", "- from: {pods: {}}", "  to: {nodes: {}}", "  port: ssh"],
      ["8:5 `ssh`: nodes and the outside have no port names: give numbers"],
    ],
    [["calls:", "- from: {pods: {}}", "  to: {pods: {}}", "  port: [http, 1]"], ["8:5 mixes names and numbers: write a call for each"]],
    [
      ["calls:", "- from: {pods: {}}", "  to: {pods: {}}", "  port: 9-8"],
      ["8:5 `9-8` is no port: a number, a range (8000-8100) or a port's name"],
    ],
    [
      ["calls:", "- from: {external: {cidrs: [198.51.100.0/24, 224.0.0.0/4]}}", "  to: {pods: {}}"],
      ["6:48 `224.0.0.0/4` holds addresses that no host outside has (224.0.0.0/4)"],
    ],
    [
      ["calls:", "- from: {external: {cidrs: [198.51.100.0/24, 127.0.0.1/32]}}", "  to: {pods: {}}"],
      ["6:48 `127.0.0.1/32` holds addresses that no host outside has (127.0.0.0/8)"],
    ],
    [
      ["calls:", "- from: {external: {cidrs: [198.51.100.0/24, 0.0.0.0/0]}}", "  to: {pods: {}}"],
      ["6:48 `0.0.0.0/0` holds addresses that no host outside has (0.0.0.0/8)"],
    ],
    [
      ["calls:", "- from: {external: {cidrs: [198.51.100.0/24, 255.255.255.255/32]}}", "  to: {pods: {}}"],
      ["6:48 `255.255.255.255/32` holds addresses that no host outside has (255.255.255.255/32)"],
    ],
    [
      ["calls:", '- from: {external: {cidrs: [198.51.100.0/24, "ff02::/16"]}}', "  to: {pods: {}}"],
      ["6:48 `ff02::/16` holds addresses that no host outside has (ff00::/8)"],
    ],
    [
      ["calls:", '- from: {external: {cidrs: [198.51.100.0/24, "::1/128"]}}', "  to: {pods: {}}"],
      ["6:48 `::1/128` holds addresses that no host outside has (::/127)"],
    ],
    [
      ["calls:", '- from: {external: {cidrs: [198.51.100.0/24, "fe80::1/128"]}}', "  to: {pods: {}}"],
      ["6:48 `fe80::1/128` holds addresses that no host outside has (fe80::/10)"],
    ],
    [
      ["calls:", '- from: {external: {cidrs: [198.51.100.0/24, "::ffff:10.0.0.0/104"]}}', "  to: {pods: {}}"],
      ["6:48 `::ffff:10.0.0.0/104` holds addresses that no host outside has (::ffff:0:0/96)"],
    ],
    [["calls:", "- from: {external: {cidrs: [10.0.0.1]}}", "  to: {pods: {}}"], ["6:31 `10.0.0.1` is no prefix (203.0.113.0/24)"]],
    [["calls:", "- from: {pods: {workload: web}}", "  to: {pods: {}}"], ["6:19 `web` is no workload: kind/name (deploy/web)"]],
    [["calls:", "- from: {pods: {}}", "  to: {pods: {}}", "  protocol: UDP", "  exchange: {kind: http}"], ["9:16 `http` goes over TCP"]],
    [
      ["calls:", "- from: {pods: {}}", "  to: {pods: {}}", '  exchange: {host: "a\\r\\nX: y"}'],
      ["8:16 `a X: y` is not an RFC 1123 subdomain (a-z, 0-9, - and dots between)"],
    ],
    [
      [CALLS, "events: [{partition: {nodes: {}, at: 101%, length: 1s}}]"],
      ["6:36 `101%` is neither a duration (30s, 5m) nor a share of the run (25%)"],
    ],
    [[CALLS, "events: [{replace: {pods: {}, at: 1s, grace: 9s}}]"], ["6:41 `9s` is less than 10s"]],
  ])("with %j: %j", (lines, message) => {
    expect(faults(...lines)).toEqual(message);
  });

  it("is refused where it is another kind or version", () => {
    const [kind] = read("apiVersion: kguardian.dev/v1alpha1\nkind: TraficProfile\n").problems;
    expect(kind).toMatchObject({ line: 2, message: "`TraficProfile` is no traffic profile, did you mean `TrafficProfile`" });
    const [version] = read("apiVersion: v1\nkind: TrafficProfile\n").problems;
    expect(version).toMatchObject({ line: 1, message: "`v1` is no version of it: it is kguardian.dev/v1alpha1" });
  });

  it("whatever its fields hold, is read or refused", () => {
    const leaf = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.integer(),
      fc.double(),
      fc.string(),
      fc.constant({}),
      fc.constant([]),
      fc.constant("5s"),
    );
    const keys = [
      "from",
      "to",
      "pods",
      "service",
      "external",
      "port",
      "exchange",
      "kind",
      "request",
      "median",
      "names",
      "count",
      "calls",
      "events",
      "at",
    ];
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie("any"), { maxKeys: 4 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, value, (calls, events) => {
        const spec = { calls: [calls], events, arrivals: events, exchange: calls };
        const object = { apiVersion: "kguardian.dev/v1alpha1", kind: "TrafficProfile", metadata: { name: "a" }, spec };
        const { profile, problems } = read(JSON.stringify(object));
        expect(profile === undefined).toBe(problems.some(({ severity }) => severity === "error"));
        expect(problems.every(({ message, line }) => line > 0 && !message.includes("\n"))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe("units", () => {
  it("spans are durations, or shares of the run", () => {
    expect([parseSpan("30s", 100), parseSpan("25%", 200), parseSpan("0.5%", 200), parseSpan("101%", 1), parseSpan("5", 1)]).toEqual([
      30,
      50,
      1,
      undefined,
      undefined,
    ]);
  });

  it("ports are numbers, ranges or names", () => {
    expect(["80", "1-65535", "http", "0", "65536", "2-1", "HTTP", ""].map(parsePorts)).toEqual([
      { first: 80, last: 80 },
      { first: 1, last: 65535 },
      "http",
      ...Array.from({ length: 5 }, () => undefined),
    ]);
  });
});
