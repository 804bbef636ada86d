import fc from "fast-check";
import { expect } from "vitest";
import { type ManifestObject, readManifest } from "../../src/cluster/manifest.ts";
import type { LabelSelector, Requirement } from "../../src/cluster/selector.ts";
import { makePrefix, type Prefix } from "../../src/net/prefix.ts";
import type { Policy, Rule } from "../../src/policy/model.ts";
import type { PrintedObject } from "../../src/policy/printedObject.ts";
import type { ObjectReading } from "../../src/policy/reading.ts";

/** Where arbitrary rules and peers are from: places are no part of the law. */
export const REF = { path: "" };

/** Checks parse(print(p)) = p, places apart, by way of JSON text; and that nothing is wrong with what was printed. */
export function expectLaw(policy: Policy, print: (policy: Policy) => PrintedObject, read: (object: ManifestObject) => ObjectReading): void {
  const [object] = readManifest(JSON.stringify(print(policy), null, 1), "p.json");
  const { policies, problems } = read(object);
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  expect(policies?.map(withoutPlaces)).toEqual([withoutPlaces(policy)]);
}

/** Returns a policy as plain data without any place, as equality needs it. */
export function withoutPlaces(policy: Policy): unknown {
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== "object" || value === null) return value;
    const fields = Object.entries(value).filter(([key]) => key !== "ref");
    return Object.fromEntries(fields.map(([key, each]) => [key, strip(each)]));
  };
  const { apiVersion, kind, namespace, name } = policy.ref;
  return { ...(strip(policy) as object), ref: { apiVersion, kind, namespace, name } };
}

/** The places of all rules and peers of a policy, `path:line` each. */
export function placesOf({ ingress, egress }: Policy): string[] {
  const rules: Rule[] = [...(ingress?.rules ?? []), ...(egress?.rules ?? [])];
  const refs = rules.flatMap(({ ref, peers }) => [ref, ...(peers === "any" ? [] : peers.map((peer) => peer.ref))]);
  return refs.map(({ path, line }) => `${path}:${line}`);
}

const LABEL_KEYS = ["app", "1", "constructor", "example.com/tier", "kubernetes.io/metadata.name"];
const LABEL_VALUES = ["", "web", "8080", "true", "shop"];

const requirement: fc.Arbitrary<Requirement> = fc.oneof(
  fc.record({
    key: fc.constantFrom(...LABEL_KEYS),
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.array(fc.constantFrom(...LABEL_VALUES), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    key: fc.constantFrom(...LABEL_KEYS),
    operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const),
    values: fc.constant([]),
  }),
);

export const labelSelector: fc.Arbitrary<LabelSelector> = fc.record({ requirements: fc.array(requirement, { maxLength: 4 }) });

/** Prefixes of both families, bounds of every length included. */
export const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc
    .tuple(fc.bigInt(0n, 0xffff_ffffn), fc.integer({ min: 0, max: 32 }))
    .map(([address, length]) => clean(0xffff_0000_0000n | address, length, 4)),
  fc
    .tuple(fc.bigInt(1n << 120n, (1n << 128n) - 1n), fc.integer({ min: 0, max: 128 }))
    .map(([address, length]) => clean(address, length, 6)),
);

function clean(address: bigint, length: number, family: 4 | 6): Prefix {
  return { ...makePrefix(address, length, family), hostBits: false };
}

/** Ports from the edges and the middle; one port is a range, too. */
export const portRange = fc
  .tuple(fc.constantFrom(1, 2, 80, 8080, 65535), fc.constantFrom(1, 2, 80, 8080, 65535))
  .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));

export const portName = fc.constantFrom("http", "dns-udp", "a1");
export const protocol = fc.constantFrom(6, 17, 132);

/** Returns an object of a kind of policy.networking.k8s.io or kguardian.dev named `p`, with the given lines below `spec:`, from line 5 on at column 3. */
export function objectOf(apiVersion: string, kind: string, specLines: readonly string[], metadata = "{name: p}"): ManifestObject {
  const head = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: ${metadata}\nspec:\n`;
  return readManifest(`${head}${specLines.map((line) => `  ${line}\n`).join("")}`, "p.yaml")[0];
}

const SCALARS = ["", "p", "default", "Allow", "Accept", "Admin", "TCP", "web", "10.0.0.0/8", "*.a.example", 0, 1, 80, 1.5, true, null];
const FIELDS = [
  ...["metadata", "name", "namespace", "spec", "tier", "priority", "subject", "namespaces", "pods", "namespaceSelector", "podSelector"],
  ...["matchLabels", "matchExpressions", "key", "operator", "values", "ingress", "egress", "action", "from", "to", "nodes", "networks"],
  ...["domainNames", "sameLabels", "ports", "portNumber", "portRange", "namedPort", "port", "protocol", "start", "end", "protocols", "tcp"],
  ...["destinationPort", "number", "range", "destinationNamedPort", "policyTypes", "ipBlock", "cidr", "except", "__proto__"],
];

const anything = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    fc.constantFrom(...SCALARS),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...FIELDS), tie("value"), { maxKeys: 6 }),
  ),
})).value;

/** Checks that whatever JSON is called an object of a kind is read or refused, never a crash, and that no policy comes with an error. */
export function expectNoCrash(apiVersion: string, kind: string, valid: object, read: (object: ManifestObject) => ObjectReading): void {
  const rule = (valid as { egress: object[] }).egress[0];
  const mangled = fc.oneof(
    anything.map((spec) => ({ spec })),
    fc.tuple(fc.constantFrom(...FIELDS), anything).map(([key, value]) => ({ spec: { ...valid, [key]: value } })),
    fc.tuple(fc.constantFrom(...FIELDS), anything).map(([key, value]) => ({ spec: { ...valid, egress: [{ ...rule, [key]: value }] } })),
    anything.map((metadata) => ({ metadata, spec: valid })),
  );
  fc.assert(
    fc.property(mangled, (fields) => {
      const text = JSON.stringify({ apiVersion, kind, metadata: { name: "default" }, ...fields });
      const { policies, problems } = read(readManifest(text, "p.json")[0]);
      expect(problems.some(({ severity }) => severity === "error")).toBe(policies === undefined);
      for (const { message, line } of problems) expect(`${line} ${message}`).toMatch(/^1 [^\n]+$/);
    }),
    { numRuns: 400 },
  );
}
