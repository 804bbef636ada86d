import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { reportOrigin } from "../../src/cli/reportOrigin.ts";
import { VERSION } from "../../src/cli/version.ts";
import { childOf, type Element, readJunit, readSarif, type SarifResult, type SarifRun } from "../report/findingReports.ts";
import { file, run, SHOP, sound } from "./program.ts";

interface Reports {
  readonly code: number | null;
  readonly sarif: SarifRun;
  readonly suite: Element;
}

/** Runs `simulate` and reads both reports of it. */
function simulate(args: readonly string[], input = ""): Reports {
  const [sarif, junit] = [file("r.sarif", ""), file("r.xml", "")];
  const { code, err } = run(["simulate", ...args, "--report", `sarif=${sarif}`, "--report", `junit=${junit}`], input);
  if (code !== 0 && code !== 1) throw new Error(err);
  const suite = readJunit(readFileSync(junit, "utf8"));
  // GitLab takes the first of equal names alone.
  const names = casesOf(suite).map(({ attributes: { classname, name } }) => JSON.stringify([classname, name]));
  if (new Set(names).size < names.length) throw new Error(`cases with one name: ${names}`);
  return { code, sarif: readSarif(readFileSync(sarif, "utf8")), suite };
}

const placesOf = ({ locations, relatedLocations = [] }: SarifResult) =>
  [...locations, ...relatedLocations].map(({ physicalLocation: { artifactLocation, region } }) => [artifactLocation.uri, region.startLine]);
const ofRule = ({ results }: SarifRun, id: string) => results.filter(({ ruleId }) => ruleId === id);
const casesOf = (suite: Element) => suite.children.filter(({ name }) => name === "testcase");
const named = (suite: Element, name: string) => casesOf(suite).find(({ attributes }) => attributes.name === name)!;
const failed = (suite: Element) => casesOf(suite).flatMap((one) => (childOf(one, "failure") ? [one.attributes.name] : []));
const skipped = (suite: Element) => casesOf(suite).flatMap((one) => (childOf(one, "skipped") ? [one.attributes.name] : []));

const planted = [...sound, "-f", `${SHOP}/network-policies`];
const ORDERS = "fixtures/shop/network-policies/orders.yaml";
const POLICIES = ["cart", "default-deny", "dns", "orders", "postgres", "redis", "scrape", "web"].map((name) => `NetworkPolicy ${name}`);
const PROBE = "unknown to shop/deploy/web 8080/TCP";

describe("the shop", () => {
  test("each planted mistake is a result with the policy and the rule, and one policy fails", () => {
    const { code, sarif, suite } = simulate(planted);
    const drops = ofRule(sarif, "would-drop");
    expect(drops.map(placesOf)).toEqual([
      [
        [ORDERS, 1],
        [ORDERS, 14],
      ],
      [[ORDERS, 1]],
    ]);
    expect([code, ...drops.map(({ level }) => level)]).toEqual([1, "error", "error"]);
    expect(drops[0].message.text).toMatch(
      /^shop\/deploy\/web to shop\/deploy\/orders 8080\/TCP, seen 11 times, would be dropped: denied by/,
    );
    expect(casesOf(suite).map(({ attributes }) => attributes.name)).toEqual([...POLICIES, PROBE]);
    expect([failed(suite), skipped(suite)]).toEqual([["NetworkPolicy orders"], [PROBE]]);
    const failure = childOf(named(suite, "NetworkPolicy orders"), "failure")!;
    expect(failure.text).toContain("api.stripe.example 443/TCP");
    expect(failure.text).toContain(`${ORDERS}:14`);
  });

  test("the tool is named with its version, and warnings are notifications", () => {
    const { sarif } = simulate(planted);
    expect(sarif.tool.driver).toMatchObject({ name: "kubectl-kguardian", version: VERSION });
    expect(sarif.invocations[0].toolExecutionNotifications.map(({ message }) => message.text)).toContain(
      "kindnet enforces NetworkPolicy in newer versions only (kind v0.24 and later)",
    );
  });

  test("mended: no error is left, and nothing fails; with --fail-on unknown the unknown one does", () => {
    const mended = [...sound, "-f", `${SHOP}/network-policies-fixed`];
    const { sarif, suite } = simulate(mended);
    expect([sarif.results.filter(({ level }) => level === "error"), failed(suite)]).toEqual([[], []]);
    const strict = simulate([...mended, "--fail-on", "unknown"]);
    expect(ofRule(strict.sarif, "unknown-verdict").map(({ level }) => level)).toEqual(["error"]);
    expect([failed(strict.suite), strict.code]).toEqual([[PROBE], 1]);
  });

  test("what is accepted is suppressed with its reason, and fails nothing", () => {
    const ignore = file("ignore.yaml", "- {source: shop/deploy/*, port: 443/TCP, reason: later}\n- {port: 8080/TCP, reason: soon}\n");
    const { code, sarif, suite } = simulate([...planted, "--ignore", ignore]);
    const drops = ofRule(sarif, "would-drop");
    expect(drops.map(({ level, suppressions }) => [level, suppressions?.[0].justification])).toEqual([
      ["note", "soon"],
      ["note", "later"],
    ]);
    expect([code, failed(suite)]).toEqual([0, []]);
  });

  test("workloads without traffic are notes on the policy that selects them", () => {
    const { sarif } = simulate(planted);
    expect(ofRule(sarif, "no-traffic").map(({ message }) => message.text.split(" ")[0])).toEqual([
      "shop/cronjob/backup",
      "shop/deploy/report",
      "shop/sts/cache",
    ]);
  });
});

const netpol = (name: string, spec: string, namespace = "shop") =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: ${spec}\n`;
const recorded = ["--flows", file("one.jsonl", '{"srcIp":"10.42.1.11","dstIp":"10.42.2.11","dstPort":8080,"protocol":"TCP"}\n')];

describe("simulate", () => {
  test("policies of standard input stand in no file: artifacts are named after them", () => {
    const args = [...recorded, "--snapshot", `${SHOP}/cluster.yaml`, "-f", "-"];
    const { sarif, suite } = simulate(args, netpol("deny", "{podSelector: {}}"));
    expect(ofRule(sarif, "would-drop").map(placesOf)).toEqual([[["NetworkPolicy/shop/deny", 1]]]);
    expect([failed(suite), named(suite, "NetworkPolicy deny").attributes.file]).toEqual([["NetworkPolicy deny"], undefined]);
  });

  test("policies that test nothing are skipped, with the reason", () => {
    const policies = file(
      "untested.yaml",
      [netpol("typo", "{podSelector: {}}", "shopp"), netpol("cache", "{podSelector: {matchLabels: {app: cache}}}")].join("---\n"),
    );
    const { sarif, suite } = simulate([...recorded, "--snapshot", `${SHOP}/cluster.yaml`, "-f", policies]);
    expect(skipped(suite)).toEqual(["NetworkPolicy typo", "NetworkPolicy cache"]);
    const reasons = casesOf(suite).map((one) => childOf(one, "skipped")?.attributes.message);
    expect(reasons).toEqual([
      "it selects no pod, so nothing was tested",
      "none of the pods that it governs took part in what was observed, so nothing was tested",
    ]);
    expect(ofRule(sarif, "selects-no-pod").map(placesOf)).toEqual([[[`file://${policies}`, 1]]]);
  });

  test("a policy is tested by pods that only a flow log tells of, in the direction that it governs", () => {
    const log = file("hubble.jsonl", readFileSync("fixtures/flow-logs/hubble/shop.jsonl"));
    const policies = file(
      "directions.yaml",
      [
        netpol("into-web", "{podSelector: {matchLabels: {app: web}}, ingress: [{}]}"),
        netpol("of-postgres", "{podSelector: {matchLabels: {app: postgres}}, policyTypes: [Egress], egress: [{}]}"),
      ].join("---\n"),
    );
    expect(skipped(simulate(["--offline", "--flows", log, "-f", policies]).suite)).toEqual(["NetworkPolicy of-postgres"]);
  });

  test("policies of two dialects with one name are two cases", () => {
    const calico = `apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: twin, namespace: shop}\nspec: {selector: app == 'cache'}\n`;
    const policies = file("twins.yaml", [netpol("twin", "{podSelector: {}}"), calico].join("---\n"));
    const { suite } = simulate([...recorded, "--snapshot", `${SHOP}/cluster.yaml`, "--cni", "calico", "-f", policies]);
    expect([failed(suite), skipped(suite)]).toEqual([["NetworkPolicy twin"], ["NetworkPolicy.projectcalico.org twin"]]);
  });

  test("what an existing policy denies fails that one's case", () => {
    const snapshot = file("with-deny.yaml", `${readFileSync(`${SHOP}/cluster.yaml`, "utf8")}---\n${netpol("old", "{podSelector: {}}")}`);
    const allowed = file("unrelated.yaml", netpol("new", "{podSelector: {matchLabels: {app: cache}}}"));
    const { suite } = simulate([...recorded, "--snapshot", snapshot, "-f", allowed]);
    expect(failed(suite)).toEqual(["NetworkPolicy old"]);
  });

  test("both sides that deny are told", () => {
    const policies = file(
      "both.yaml",
      [
        netpol("out", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"),
        netpol("in", "{podSelector: {matchLabels: {app: orders}}, policyTypes: [Ingress]}"),
      ].join("---\n"),
    );
    const { sarif, suite } = simulate([...sound, "--policy-mode", "replace", "-f", policies]);
    expect(failed(suite)).toEqual(["NetworkPolicy out", "NetworkPolicy in"]);
    const both = ofRule(sarif, "would-drop").filter(({ message }) => message.text.startsWith("shop/deploy/web to shop/deploy/orders"));
    expect(both.map((result) => placesOf(result).map(([, line]) => line))).toEqual([[1, 6]]);
  });

  test("the same file for two reports is refused, one format in two files is not", () => {
    const [one, two] = [file("one.sarif", ""), file("two.sarif", "")];
    expect(run(["simulate", ...planted, "--report", `sarif=${one}`, "--report", `sarif=${two}`]).code).toBe(1);
    expect(readFileSync(one, "utf8")).toBe(readFileSync(two, "utf8"));
    const { code, err } = run(["simulate", ...planted, "--report", `sarif=${one}`, "--report", `junit=${one}`]);
    expect([code, err]).toEqual([2, expect.stringContaining("is asked for twice")]);
  });
});

describe("the top of the sources", () => {
  const top = mkdtempSync(join(tmpdir(), "kguardian-origin-"));
  afterAll(() => rmSync(top, { recursive: true, force: true }));
  const deep = join(top, "repository/deploy/policies");
  mkdirSync(deep, { recursive: true });

  test("is the working directory where no repository is", () => {
    expect(reportOrigin(deep)).toEqual({ version: VERSION, workingDirectory: deep, sourceRoot: deep });
  });

  test("is the repository's, also where .git is the file of a worktree", () => {
    writeFileSync(join(top, "repository/.git"), "gitdir: elsewhere\n");
    expect(reportOrigin(deep).sourceRoot).toBe(join(top, "repository"));
  });
});
