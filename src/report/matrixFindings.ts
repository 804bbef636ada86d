import type { Finding, FindingCase, FindingReport, FindingRule } from "./findings.ts";
import { exposuresOf, type MatrixResult } from "./matrixResult.ts";
import { endText } from "./shownEnds.ts";

const OUTSIDE: FindingRule = {
  id: "exposed-to-outside",
  summary: "Outside addresses reach a workload",
  description:
    "No policy keeps outside addresses from the workload on these ports. Whether a way leads there (a load balancer, a node port) is another matter.",
  help: "Where it is not meant, isolate the workload for ingress and allow those who need it.",
  level: "warning",
};

const CLUSTER: FindingRule = {
  id: "open-to-every-pod",
  summary: "Every pod of the cluster reaches a workload",
  description: "No policy keeps any pod from the workload on these ports, in whatever namespace.",
  help: "Where it is not meant, isolate the workload for ingress and allow those who need it.",
  level: "note",
};

/** Returns what is exposed, for CI systems. A case is a workload; none fails, since what is allowed may be meant. */
export function matrixFindings(result: MatrixResult): FindingReport {
  const cases = new Map<string, FindingCase>();
  const findings = exposuresOf(result).map(({ end, to, text }): Finding => {
    const name = endText(end);
    const one = cases.get(name) ?? { suite: "workloads", name };
    cases.set(name, one);
    const rule = to === "outside" ? OUTSIDE : CLUSTER;
    return {
      rule,
      level: rule.level,
      message: `${name} is ${to === "outside" ? "exposed to outside addresses" : "open to every pod"} on ${text}`,
      places: [{ object: name }],
      identity: [to, name, text],
      cases: [one],
    };
  });
  for (const end of result.links.ends) {
    const name = endText(end);
    if (end.type === "pod" && !cases.has(name)) cases.set(name, { suite: "workloads", name });
  }
  return { command: "matrix", rules: [OUTSIDE, CLUSTER], findings, cases: [...cases.values()], warnings: result.warnings };
}
