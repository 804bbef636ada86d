import { dirname, isAbsolute, join } from "node:path";
import type { ManifestObject } from "../cluster/manifest.ts";
import type { Pod } from "../cluster/objects.ts";
import { cautionsOf } from "../evaluate/cautions.ts";
import { compileConnectivity } from "../evaluate/compare.ts";
import type { Connectivity } from "../evaluate/connectivity.ts";
import { checkExpectation, type Expectation } from "../evaluate/expectation.ts";
import { pathText } from "../policy/objectReader.ts";
import {
  counterExamplesOf,
  type ExpectationResult,
  type PolicyTestResult,
  type PolicyTestsResult,
  type Violations,
} from "../report/policyTestResult.ts";
import { EndNames } from "../report/shownEnds.ts";
import { refuseTwoStdins, UsageError } from "./errors.ts";
import { gapsOf, type OpenedSet, openSet, type SetFlags } from "./openSets.ts";
import { problemText, readManifests, refuseErrors } from "./policies.ts";
import { chosenIn, EndError, EndFinder, type FoundEnds, type ServiceEnds, type TargetPort } from "./policyTestEnds.ts";
import { type ExpectationText, type PolicyTestText, readPolicyTest } from "./policyTestFile.ts";
import { collectAtOnce, expectLongWork, MANY_OBJECTS } from "./tiers.ts";

/** What was given on the command line, which goes before what a test says itself. */
export interface PolicyTestFlags extends Omit<SetFlags, "policyMode" | "cni"> {
  readonly files: readonly string[];
  readonly policyMode: SetFlags["policyMode"] | undefined;
  readonly cni: string | undefined;
}

/** `test`: files of expectations -> policy sets -> all connectivity of each -> what of it contradicts them. */
export async function policyTest(flags: PolicyTestFlags): Promise<PolicyTestsResult> {
  refuseTwoStdins({ FILE: flags.files, "--snapshot": flags.snapshot, "--filename": flags.filename });
  collectAtOnce();
  expectLongWork(false);
  const { tests, warnings } = await readTests(flags);
  const opened = new Map<string, OpenedSet>();
  const results: PolicyTestResult[] = [];
  for (const test of tests) {
    const own = flagsOf(test, flags);
    const key = JSON.stringify(own);
    // Tests of one policy set read it once; standard input cannot be read twice.
    const set = opened.get(key) ?? (await openSet(own));
    opened.set(key, set);
    results.push(judgeTest(test, set));
  }
  return { tests: results, warnings };
}

async function readTests({ files, recursive }: PolicyTestFlags): Promise<{ tests: PolicyTestText[]; warnings: string[] }> {
  const tests: PolicyTestText[] = [];
  const warnings = new Set<string>();
  const seen = new Set<string>();
  for (const path of files) {
    const read = await readManifests([path], recursive);
    const found = read.objects.map(readPolicyTest);
    refuseErrors(found.flatMap(({ problems }) => problems));
    const own = found.flatMap(({ test }) => (test === undefined ? [] : [test]));
    if (own.length === 0) {
      const kinds = Map.groupBy(read.objects, ({ value }) => String(value.kind));
      const others = [...kinds].map(([kind, { length }]) => `${length} ${kind}`).join(", ");
      throw new UsageError(`no PolicyTest in ${path}${others === "" ? "" : ` (only ${others})`}`);
    }
    for (const test of own) {
      const place = placeOf(test.object);
      if (seen.has(place)) warnings.add(`\`${test.object.file}\` is named twice and was read once`);
      else tests.push(test);
      seen.add(place);
    }
  }
  return { tests, warnings: [...warnings] };
}

function placeOf(object: ManifestObject): string {
  return `${object.file}:${object.positionOf([]).line}`;
}

/** Returns what a test is judged with: what the flags say, and where they say nothing the test. Its paths are told from its file. */
function flagsOf({ object, snapshot, policies, cni, policyMode, staged }: PolicyTestText, flags: PolicyTestFlags): SetFlags {
  const { files: _, ...rest } = flags;
  const below = (path: string) => (isAbsolute(path) ? path : join(dirname(object.file), path));
  return {
    ...rest,
    snapshot: flags.snapshot.length > 0 ? flags.snapshot : snapshot.map(below),
    filename: flags.filename.length > 0 ? flags.filename : policies.map(below),
    cni: flags.cni ?? cni ?? "auto",
    policyMode: flags.policyMode ?? policyMode ?? "overlay",
    staged: flags.staged || staged === true,
  };
}

/** An expectation with whom it is about. */
interface Named {
  readonly text: ExpectationText;
  readonly sources: FoundEnds;
  readonly destinations: FoundEnds;
}

/** Judges one test against a policy set. Throws a UsageError with the place of each end that names nobody. */
export function judgeTest(test: PolicyTestText, opened: OpenedSet): PolicyTestResult {
  const { cluster, judged, cni, warnings } = opened;
  const { set, world } = judged;
  const finder = new EndFinder(opened, test.namespace ?? opened.namespace);
  const mistakes: string[] = [];
  const trying = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof EndError)) throw error;
      mistakes.push(mistakeAt(test, error.path, error.message));
      return undefined;
    }
  };
  const named = test.expectations.flatMap((text): Named[] => {
    const sources = trying(() => finder.find(text.from, undefined));
    const destinations = trying(() => finder.find(text.to, text.ports));
    finder.usePorts(text.ports);
    return sources === undefined || destinations === undefined ? [] : [{ text, sources, destinations }];
  });
  refuse(mistakes);
  expectLongWork(world.pods.length + set.policies.length > MANY_OBJECTS);
  const connectivity = compileConnectivity([judged], finder.refinement);
  const links = connectivity.everything();
  const names = new EndNames(connectivity);
  const file = test.object.file;
  const expectations = named.flatMap(({ text, sources, destinations }): ExpectationResult[] => {
    const violations = trying(() => {
      const found: Violations[] = [];
      let isAboutAny = false;
      for (const { expectation, dialledAt } of partsOf(text, sources, destinations, finder, connectivity)) {
        const checked = checkExpectation(connectivity, links, expectation);
        isAboutAny ||= checked.isAboutAny;
        found.push({ links: checked.violations, dialledAt });
      }
      if (!isAboutAny)
        throw new EndError(
          text.path,
          "it is about no connection that policies judge: both ends are outside or nodes, have no addresses of one family, or no such port",
        );
      return found;
    });
    if (violations === undefined) return [];
    const { name, title, verdict: expected, line } = text;
    return [{ name, title, expected, file, line, examples: counterExamplesOf(connectivity, violations, expected, names) }];
  });
  refuse(mistakes);
  const [evaluator] = connectivity.evaluators;
  return {
    name: test.name,
    namespace: test.namespace,
    file,
    line: test.object.positionOf([]).line,
    cni,
    policies: set.policies.length,
    workloads: new Set(world.pods.map(({ workload: { namespace, kind, name } }) => `${namespace}/${kind}/${name}`)).size,
    expectations,
    warnings: [...new Set([...warnings, ...finder.warnings, ...cautionsOf(set, evaluator, world), ...gapsOf(cluster, false)])],
  };
}

function refuse([first, ...others]: readonly string[]): void {
  if (first !== undefined) throw new UsageError(first, others);
}

function mistakeAt({ object }: PolicyTestText, path: EndError["path"], message: string): string {
  return problemText({ severity: "error", file: object.file, ...object.positionOf(path), path: pathText(path), message });
}

/** What is asked of the connectivity for one expectation: a Service has ports of its own. */
interface Part {
  readonly expectation: Expectation;
  readonly dialledAt: Violations["dialledAt"];
}

function partsOf(
  text: ExpectationText,
  sources: FoundEnds,
  destinations: FoundEnds,
  finder: EndFinder,
  connectivity: Connectivity,
): Part[] {
  const from = chosenIn(connectivity, sources.plain);
  const podOf = (number: number | undefined) => (number === undefined ? undefined : connectivity.classes[number].members[0][0]);
  const { verdict } = text;
  const plain: Part = {
    expectation: {
      sources: from,
      destinations: chosenIn(connectivity, destinations.plain),
      portsAt: (number) => finder.portsOf(podOf(number), text.ports),
      verdict,
    },
    dialledAt: () => undefined,
  };
  const ofServices = destinations.services.flatMap(({ ports, addresses }: ServiceEnds): Part[] => {
    const targetsOf = (pod: Pod | undefined): readonly TargetPort[] => (pod === undefined ? [] : (ports.get(pod) ?? []));
    const cutOf = ({ protocol, port }: TargetPort) => ({ protocol, first: port, last: port });
    const dialledAt = (targets: readonly TargetPort[], protocol: number, port: number) =>
      targets.find((target) => target.protocol === protocol && target.port === port)?.dialled;
    const ofPods: Part = {
      expectation: {
        sources: from,
        destinations: chosenIn(connectivity, { pods: new Set(ports.keys()), nodes: new Map(), entities: new Set(), outside: [] }),
        portsAt: (number) => targetsOf(podOf(number)).map(cutOf),
        verdict,
      },
      dialledAt: (pod, protocol, port) => dialledAt(targetsOf(pod), protocol, port),
    };
    const ofAddresses = addresses.map(
      ({ ends, ...target }): Part => ({
        expectation: { sources: from, destinations: chosenIn(connectivity, ends), portsAt: () => [cutOf(target)], verdict },
        dialledAt: (_pod, protocol, port) => dialledAt([target], protocol, port),
      }),
    );
    return [ofPods, ...ofAddresses];
  });
  return [plain, ...ofServices];
}
