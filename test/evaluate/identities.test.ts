import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Namespace, Node, Pod } from "../../src/cluster/objects.ts";
import { type LabelSelector, type Requirement, selects, selectsPartly } from "../../src/cluster/selector.ts";
import { BitSet } from "../../src/evaluate/bitSet.ts";
import { ANYTHING, Identities, OUTSIDE } from "../../src/evaluate/identities.ts";
import { TCP } from "../../src/net/protocol.ts";
import type { NamespaceMatch } from "../../src/policy/model.ts";

const podWith = (namespace: string, labels: Record<string, string>, ports: Pod["ports"] = []): Pod => ({
  namespace,
  name: "p",
  labels,
  workload: { namespace, kind: "Pod", name: "p", foundBy: "labels" },
  hostNetwork: false,
  serviceAccountName: "default",
  addresses: [],
  ports,
  startSeconds: null,
  endSeconds: null,
});

const identitiesOf = (pods: readonly Pod[], namespaces: ReadonlyMap<string, Namespace> = new Map(), nodes: readonly Node[] = []) =>
  new Identities({
    pods,
    nodes,
    namespaces,
    serviceAccounts: new Map(),
    isApiServer: () => false,
    selectsHostPods: false,
    outsideNames: [],
    tellsNodesApart: true,
  });

const key = fc.constantFrom("a", "b", "toString", "__proto__x");
const value = fc.constantFrom("1", "2", "");
const labels = fc.dictionary(key, value, { maxKeys: 3 });
const requirement: fc.Arbitrary<Requirement> = fc.record({
  key: fc.oneof(key, fc.constant("constructor")),
  operator: fc.constantFrom("In", "NotIn", "Exists", "DoesNotExist"),
  values: fc.array(value, { minLength: 1, maxLength: 2 }),
});
const selector: fc.Arbitrary<LabelSelector> = fc.record({ requirements: fc.array(requirement, { maxLength: 3 }) });
const match: fc.Arbitrary<NamespaceMatch> = fc.oneof(fc.record({ name: fc.constantFrom("x", "y", "z") }), fc.record({ selector }));

describe("identities", () => {
  test("law: a selection holds a pod's identity exactly where the selectors select the pod, and perhaps where labels are missing", () => {
    const namespace = fc.record({ labels, labelsKnown: fc.boolean() });
    const pod = fc.tuple(fc.constantFrom("x", "y", "z"), labels).map(([name, own]) => podWith(name, own));
    fc.assert(
      fc.property(
        fc.array(pod, { maxLength: 40 }),
        fc.tuple(namespace, namespace),
        fc.array(fc.tuple(match, selector), { minLength: 1, maxLength: 8 }),
        (pods, [x, y], matches) => {
          // Namespace z is in no table at all.
          const full = (name: string, each: typeof x): Namespace => ({
            name,
            labels: { ...(each.labelsKnown ? each.labels : {}), "kubernetes.io/metadata.name": name },
            labelsKnown: each.labelsKnown,
          });
          const namespaces = new Map([full("x", x), full("y", y)].map((each) => [each.name, each]));
          const identities = identitiesOf(pods, namespaces);
          for (const [of, podSelector] of matches) {
            const number = identities.intern({ namespaces: of, pods: podSelector });
            const { must, may } = identities.selection(number);
            expect([must.has(ANYTHING), may.has(ANYTHING), must.has(OUTSIDE), may.has(OUTSIDE)]).toEqual([false, true, false, false]);
            for (const each of pods) {
              const known = namespaces.get(each.namespace);
              const inNamespace =
                "name" in of
                  ? of.name === each.namespace
                  : known?.labelsKnown
                    ? selects(of.selector, known.labels)
                    : selectsPartly(of.selector, { "kubernetes.io/metadata.name": each.namespace });
              const chosen = selects(podSelector, each.labels);
              const identity = identities.numberOf(each)!;
              expect([must.has(identity), may.has(identity)]).toEqual([chosen && inNamespace === true, chosen && inNamespace !== false]);
            }
            expect(identities.intern({ namespaces: of, pods: { requirements: podSelector.requirements.toReversed() } })).toBe(number);
          }
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });

  test.each([
    ["the same labels in another order", podWith("x", { a: "1", b: "2" }), podWith("x", { b: "2", a: "1" }), true],
    ["another namespace", podWith("x", { a: "1" }), podWith("y", { a: "1" }), false],
    ["another label", podWith("x", { a: "1" }), podWith("x", { a: "2" }), false],
    ["ports without names", podWith("x", {}, [{ port: 1, protocol: TCP }]), podWith("x", {}, [{ port: 2, protocol: TCP }]), true],
    [
      "named ports",
      podWith("x", {}, [{ name: "http", port: 1, protocol: TCP }]),
      podWith("x", {}, [{ name: "http", port: 2, protocol: TCP }]),
      false,
    ],
  ])("one identity? %s", (_, one, other, same) => {
    const identities = identitiesOf([one, other]);
    expect(identities.numberOf(one) === identities.numberOf(other)).toBe(same);
  });

  test("a pod that is not the world's has no number", () => {
    expect(identitiesOf([]).numberOf(podWith("x", {}))).toBeUndefined();
  });
});

describe("bit sets", () => {
  const members = fc.uniqueArray(fc.nat(99));
  test("law: they hold what was added, and joins, cuts and complements are those of sets", () => {
    fc.assert(
      fc.property(members, members, (a, b) => {
        const setOf = (numbers: readonly number[]) => {
          const set = new BitSet(100);
          for (const number of numbers) set.add(number);
          return set;
        };
        const list = (set: BitSet) => {
          const found: number[] = [];
          set.forEach((number) => {
            found.push(number);
          });
          return found;
        };
        const sorted = (numbers: readonly number[]) => numbers.toSorted((x, y) => x - y);
        expect(list(setOf(a))).toEqual(sorted(a));
        expect(list(setOf(a).addAll(setOf(b)))).toEqual(sorted([...new Set([...a, ...b])]));
        expect(list(setOf(a).retainAll(setOf(b)))).toEqual(sorted(a.filter((n) => b.includes(n))));
        expect(list(setOf(a).removeAll(setOf(b)))).toEqual(sorted(a.filter((n) => !b.includes(n))));
        expect(list(new BitSet(100).fill().removeAll(setOf(a)))).toHaveLength(100 - a.length);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  test.each([0, 1, 31, 32, 33, 64])("fill holds every number below %i and none above", (size) => {
    const found: number[] = [];
    new BitSet(size).fill().forEach((number) => {
      found.push(number);
    });
    expect(found).toEqual(Array.from({ length: size }, (_, i) => i));
  });
});
