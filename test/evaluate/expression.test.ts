import { describe, expect, test } from "vitest";
import type { Truth } from "../../src/cluster/selector.ts";
import { expressionKey, expressionTruth, type Labelled } from "../../src/evaluate/expression.ts";
import { negate } from "../../src/evaluate/truth.ts";
import type { Expression, LabelSource } from "../../src/policy/model.ts";

type Operator = "In" | "NotIn" | "Exists" | "DoesNotExist";
const is = (of: LabelSource, key: string, operator: Operator, ...values: string[]): Expression => ({
  op: "test",
  of,
  requirement: { key, operator, values },
});
const text = (how: "contains" | "starts" | "ends", key: string, part: string, of: LabelSource = "own"): Expression => ({
  op: "text",
  of,
  key,
  how,
  text: part,
});
const not = (term: Expression): Expression => ({ op: "not", term });
const all = (...terms: Expression[]): Expression => ({ op: "all", terms });
const some = (...terms: Expression[]): Expression => ({ op: "some", terms });

const POD: Labelled = {
  labels: { app: "web", empty: "" },
  namespace: { labels: { team: "red" }, labelsKnown: true },
  serviceAccount: { name: "robot", labels: { role: "bot" } },
};
/** Of its namespace and account only the names are known. */
const HALF_KNOWN: Labelled = {
  labels: {},
  namespace: { labels: { "kubernetes.io/metadata.name": "shop" }, labelsKnown: false },
  serviceAccount: { name: "robot" },
};
/** An address set without namespace. */
const GLOBAL_SET: Labelled = { labels: { feed: "threat" } };
const OPEN = is("namespace", "team", "In", "red");

describe("one test", () => {
  test.each<[string, Expression, Labelled, Truth]>([
    ["a label with one of the values", is("own", "app", "In", "api", "web"), POD, true],
    ["a label with another value", is("own", "app", "In", "api"), POD, false],
    ["In of a missing label", is("own", "tier", "In", "web"), POD, false],
    ["NotIn of a missing label", is("own", "tier", "NotIn", "web"), POD, true],
    ["NotIn of a present one", is("own", "app", "NotIn", "web"), POD, false],
    ["an empty value is there", is("own", "empty", "Exists"), POD, true],
    ["DoesNotExist of a missing label", is("own", "tier", "DoesNotExist"), POD, true],
    ["a key that every object inherits is no label", is("own", "constructor", "Exists"), POD, false],
    ["own labels are always known", is("own", "tier", "Exists"), HALF_KNOWN, false],
    ["a namespace's label", is("namespace", "team", "In", "red"), POD, true],
    ["a namespace's name, its labels not known", is("namespace", "kubernetes.io/metadata.name", "In", "shop"), HALF_KNOWN, true],
    ["a namespace's other name, its labels not known", is("namespace", "kubernetes.io/metadata.name", "In", "data"), HALF_KNOWN, false],
    ["a label of a namespace that is not known", OPEN, HALF_KNOWN, "unknown"],
    ["the absence of one of it", is("namespace", "team", "DoesNotExist"), HALF_KNOWN, "unknown"],
    ["a set without namespace has no namespace labels", is("namespace", "team", "Exists"), GLOBAL_SET, false],
    ["and so every negative one", is("namespace", "team", "NotIn", "red"), GLOBAL_SET, true],
    ["an account's label", is("serviceAccount", "role", "In", "bot"), POD, true],
    ["a label of an account that is not known", is("serviceAccount", "role", "In", "bot"), HALF_KNOWN, "unknown"],
    ["a set has no account", is("serviceAccount", "role", "Exists"), GLOBAL_SET, false],
    ["an account's name", is("serviceAccountName", "", "In", "robot"), HALF_KNOWN, true],
    ["another account's name", is("serviceAccountName", "", "In", "human"), POD, false],
    ["the name of no account", is("serviceAccountName", "", "In", "robot"), GLOBAL_SET, false],
  ])("%s", (_what, expression, object, truth) => expect(expressionTruth(expression, object)).toBe(truth));
});

describe("parts of texts", () => {
  test.each<[string, Expression, Labelled, Truth]>([
    ["contains", text("contains", "app", "e"), POD, true],
    ["contains not", text("contains", "app", "E"), POD, false],
    ["starts", text("starts", "app", "we"), POD, true],
    ["starts not with the end", text("starts", "app", "eb"), POD, false],
    ["ends", text("ends", "app", "eb"), POD, true],
    ["ends not with the beginning", text("ends", "app", "we"), POD, false],
    ["nothing is part of every present label", text("contains", "empty", ""), POD, true],
    ["but of no missing one", text("contains", "tier", ""), POD, false],
    ["a missing label of a namespace that is not known", text("starts", "team", "r", "namespace"), HALF_KNOWN, "unknown"],
    ["a known one of it", text("starts", "kubernetes.io/metadata.name", "sh", "namespace"), HALF_KNOWN, true],
  ])("%s", (_what, expression, object, truth) => expect(expressionTruth(expression, object)).toBe(truth));
});

describe("three values (Kleene)", () => {
  const [T, F, U] = [is("own", "app", "Exists"), is("own", "x", "Exists"), OPEN];
  const object: Labelled = { ...HALF_KNOWN, labels: { app: "web" } };
  const table: readonly (readonly [Expression, Expression, Truth, Truth])[] = [
    [T, T, true, true],
    [T, F, false, true],
    [F, F, false, false],
    [T, U, "unknown", true],
    [F, U, false, "unknown"],
    [U, U, "unknown", "unknown"],
  ];
  test.each(table)("case %#: and, or, in both orders; not", (a, b, and, or) => {
    expect([all(a, b), all(b, a), some(a, b), some(b, a)].map((each) => expressionTruth(each, object))).toEqual([and, and, or, or]);
    expect(expressionTruth(not(all(a, b)), object)).toBe(negate(and));
    // De Morgan
    expect(expressionTruth(some(not(a), not(b)), object)).toBe(negate(and));
  });

  test("all of nothing holds, some of nothing does not", () => {
    expect([expressionTruth(all(), POD), expressionTruth(some(), POD)]).toEqual([true, false]);
  });
});

test("a key tells expressions apart", () => {
  expect(expressionKey(not(OPEN))).toBe(expressionKey(not(is("namespace", "team", "In", "red"))));
  expect(expressionKey(is("own", "team", "In", "red"))).not.toBe(expressionKey(OPEN));
});
