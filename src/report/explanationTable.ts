import type { Verdict } from "../evaluate/decision.ts";
import { faultText, type PolicyAnswer, type RuleAnswer, type RuleRole, type SideExplanation } from "../evaluate/explanation.ts";
import { describePorts } from "../evaluate/ruleFaults.ts";
import type { ChangedObject } from "../generate/change/smallestChange.ts";
import { plural } from "../net/number.ts";
import { formatPortRange } from "../net/portRange.ts";
import { formatPrefix } from "../net/prefix.ts";
import { protocolName, TRANSPORTS } from "../net/protocol.ts";
import { type L7Match, policyTitle } from "../policy/model.ts";
import { decidingPolicies, type ExplainedCase, type ExplainedPort, type ExplainResult, isChange, type OtherPorts } from "./explanation.ts";
import { endpointLabel, objectName, placeLabel } from "./labels.ts";
import { decisionMessage, portLabel } from "./simulationResult.ts";
import { listed, PLAIN_STYLE, printable, type Style, wrapped } from "./text.ts";
import { styledDiff, textDiff } from "./textDiff.ts";

/** What terminals show in a line. */
const WIDTH = 100;
/** Rules of a policy that do not match, and other things of a list, that a screen holds; the rest is counted, and `-o wide` shows it. */
const ROWS = 6;

const ROLES: Readonly<Record<RuleRole, string>> = {
  decides: "decides",
  passes: "passes",
  matches: "matches",
  "may-match": "may match",
  "not-asked": "too late",
  "no-match": "no",
};

/** Returns the explanation that a person reads. */
export function explanationTable(result: ExplainResult, wide: boolean, style: Style = PLAIN_STYLE): string {
  const { cases, cni, policies } = result;
  const lines = [
    ...line(
      printable(
        `${result.source} to ${result.destination}, against ${plural(policies, "policy", "policies")} · CNI ${cni.name} (${cni.because})`,
      ),
    ),
    ...cni.caveats.flatMap((caveat) => line(printable(`CNI: ${caveat}`))),
  ];
  for (const one of cases) lines.push("", ...caseLines(one, wide, style));
  if (result.otherPorts.length > 0) lines.push("", ...line(`${style.bold("OTHER PORTS")}   ${otherPortsText(result.otherPorts)}`));
  if (result.prefixes.length > 0) lines.push("", ...prefixLines(result, wide, style));
  if (result.warnings.length > 0)
    lines.push("", ...result.warnings.flatMap((warning) => line(`${style.bold("NOTE")}   ${printable(warning)}`, "       ")));
  return `${lines.join("\n")}\n`;
}

/** Wraps a line; what comes from outside in it was made printable. */
function line(text: string, indent = "    "): string[] {
  return wrapped(text, WIDTH, indent);
}

function verdictText(verdict: Verdict, style: Style): string {
  return verdict === "allow" ? style.good("ALLOW") : verdict === "deny" ? style.bad("DENY") : style.bold("UNKNOWN");
}

function caseLines(one: ExplainedCase, wide: boolean, style: Style): string[] {
  const { ends, judgement, sources, destinations, families } = one;
  const [from, to] = [ends.sourceEndpoint, ends.destinationEndpoint].map((endpoint) => printable(endpointLabel(endpoint)));
  const via = ends.via?.service === undefined ? "" : ` (${printable(ends.via.service)})`;
  const lines = line(`${verdictText(judgement.verdict, style)}   ${from} → ${to}${via} ${portsText(one.ports)}`);
  if (sources !== undefined) lines.push(...line(`  from ${names(sources, wide)}`));
  if (destinations !== undefined) lines.push(...line(`  to ${names(destinations, wide)}`));
  if (families !== undefined) lines.push(`  over ${familiesText(families)}`);
  lines.push(...sideLines(one, one.egress, wide, style), ...sideLines(one, one.ingress, wide, style), ...changeLines(one, style));
  return lines;
}

/** Returns what people call address families. */
export function familiesText(families: readonly (4 | 6)[]): string {
  return families.map((family) => `IPv${family}`).join(" and ");
}

function names(texts: readonly string[], wide: boolean): string {
  const shown = wide ? texts : texts.slice(0, ROWS);
  return printable(shown.join(", ")) + (shown.length < texts.length ? ` and ${texts.length - shown.length} more` : "");
}

/** Returns ports as people write them: `80/TCP (the pods listen on 8080)`. */
export function portsText(ports: readonly ExplainedPort[]): string {
  return ports
    .map(({ protocol, port, dialled, name, isAny }) => {
      if (isAny === true) return `a ${protocolName(protocol)} port that no rule names`;
      const label = portLabel(protocol, dialled ?? port);
      const called = name === undefined ? "" : ` ${printable(name)}`;
      return `${label}${called}${dialled === undefined || dialled === port ? "" : ` (${port} at the pods)`}`;
    })
    .join(", ");
}

function sideLines(one: ExplainedCase, side: SideExplanation, wide: boolean, style: Style): string[] {
  const { direction, decision, policies, nearlySelecting } = side;
  const title = style.bold(direction === "egress" ? "EGRESS" : "INGRESS");
  const message = decisionMessage(decision, direction, one.ends);
  const lines = ["", ...line(`  ${title}   ${decision.verdict}: ${message}`, "      ")];
  for (const policy of policies) lines.push(...policyLines(policy, wide, style));
  const near = wide ? nearlySelecting : nearlySelecting.slice(0, ROWS);
  for (const { policy, text, selectsNoPod } of near) {
    const place = placeLabel(policy.ref);
    const nobody = selectsNoPod ? ", and selects no pod at all" : "";
    lines.push(
      ...line(
        `    ${style.dim("not selecting")}   ${printable(`${policyTitle(policy.ref)}${place === "" ? "" : ` (${place})`}: ${text}${nobody}`)}`,
        "      ",
      ),
    );
  }
  if (near.length < nearlySelecting.length)
    lines.push(
      `    … and ${plural(nearlySelecting.length - near.length, "more policy", "more policies")} that nearly ${nearlySelecting.length - near.length === 1 ? "selects" : "select"} it: -o wide shows all`,
    );
  return lines;
}

function policyLines(answer: PolicyAnswer, wide: boolean, style: Style): string[] {
  const { policy, stage, selects, isolates, isAsked, decides, rules } = answer;
  const place = placeLabel(policy.ref);
  const says = [
    ...(stage === undefined ? ["this plugin does not know it"] : stageText(stage)),
    ...(selects === true ? [] : ["may select it"]),
    ...(isAsked || stage === undefined ? [] : ["not asked"]),
    ...(rules.length === 0 && stage !== undefined ? ["no rules"] : []),
    ...(isolates ? [decides ? style.bad("isolates, and so denies") : "isolates"] : []),
  ];
  const title = printable(`${policyTitle(policy.ref)}${place === "" ? "" : ` (${place})`}`);
  const lines = line(`    ${title}${says.length === 0 ? "" : `   ${says.join(", ")}`}`, "      ");
  const silent = rules.filter(({ role }) => role === "no-match");
  const hidden = new Set(wide ? [] : silent.slice(ROWS));
  for (const rule of rules) if (!hidden.has(rule)) lines.push(...ruleLines(rule, style));
  if (hidden.size > 0)
    lines.push(`      … and ${plural(hidden.size, "more rule")} that ${hidden.size === 1 ? "does" : "do"} not match: -o wide shows all`);
  return lines;
}

/** The union of NetworkPolicies needs no name; what is asked in turn does. */
function stageText(stage: string): string[] {
  return stage === "networkpolicy" || stage === "cilium" ? [] : [stage.startsWith("tier ") ? printable(stage) : `${stage} tier`];
}

const VERBS = { allow: "allows", deny: "denies", pass: "passes on", log: "logs" } as const;

function ruleLines({ rule, ref, role, why }: RuleAnswer, style: Style): string[] {
  const place = placeLabel(ref);
  const label = ROLES[role].padEnd(9);
  const shown = role === "decides" ? (rule.action === "deny" ? style.bad(label) : style.good(label)) : label;
  const where = printable(`${ref.path}${place === "" ? "" : ` (${place})`}`);
  const what = `${VERBS[rule.action]} ${describePorts(rule.ports)}${requestsText(rule.l7)}`;
  return line(`      ${shown}   ${where} ${printable(what)}${why === undefined ? "" : `: ${printable(faultText(why))}`}`, " ".repeat(18));
}

/** What of requests a rule wants: ` for GET /a`. */
function requestsText(matches: readonly L7Match[] | undefined): string {
  if (matches === undefined) return "";
  const texts = matches.map((match) => {
    if (match.kind === "dns") return `names like ${match.names.text}`;
    if (match.kind === "opaque") return match.text;
    const words = [match.method, match.host, match.path].flatMap((part) => (part === undefined ? [] : Object.values(part)));
    return words.length === 0 ? "any HTTP" : words.join(" ");
  });
  return ` for ${listed(texts)}`;
}

function changeLines({ change, connections }: ExplainedCase, style: Style): string[] {
  const title = style.bold("SMALLEST CHANGE");
  if (!isChange(change)) return ["", ...line(`  ${title}   none: ${change.message}`, "      ")];
  const lines = ["", ...line(`  ${title}   that would ${change.verdict === "allow" ? "allow" : "deny"} it`)];
  if (change.flipped < connections)
    lines.push(...line(`    it does so for ${change.flipped} of ${connections} connections: ask for one port or pod at a time`));
  for (const object of change.objects) lines.push(...objectLines(object, style));
  return lines;
}

function objectLines({ ref, isNew, what, before, after, notes }: ChangedObject, style: Style): string[] {
  const place = placeLabel(ref);
  const title = `${policyTitle(ref)}${isNew || place === "" ? "" : ` (${place})`}`;
  return [
    ...line(printable(`    ${title}: ${what.join(", ")}`), "      "),
    ...notes.flatMap((note) => line(printable(`    ${note}`), "      ")),
    ...styledDiff(textDiff(before, after), style).map((each) => `      ${each}`),
  ];
}

/** Returns ports with their verdicts, a protocol after the other. */
export function otherPortsText(ports: readonly OtherPorts[]): string {
  const verdicts = new Set(ports.map(({ verdict }) => verdict));
  if (verdicts.size === 1) return `${TRANSPORTS.map(protocolName).join(", ")}: ${verdictWord(ports[0].verdict)}`;
  return TRANSPORTS.flatMap((protocol) => {
    const own = ports.filter((each) => each.protocol === protocol);
    if (own.length === 0) return [];
    const byVerdict = Map.groupBy(own, ({ verdict }) => verdict);
    const texts = [...byVerdict].map(([verdict, ranges]) =>
      byVerdict.size === 1 ? verdictWord(verdict) : `${rangesText(ranges)} ${verdictWord(verdict)}`,
    );
    return [`${protocolName(protocol)}: ${texts.join(", ")}`];
  }).join(" · ");
}

function verdictWord(verdict: OtherPorts["verdict"]): string {
  return verdict === "differs" ? "differs from pod to pod, or by address family" : verdict;
}

function rangesText(ranges: readonly OtherPorts[]): string {
  const shown = ranges.slice(0, ROWS).map(formatPortRange).join(", ");
  return ranges.length > ROWS ? `${shown} and ${ranges.length - ROWS} more` : shown;
}

function prefixLines({ prefixes }: ExplainResult, wide: boolean, style: Style): string[] {
  const shown = wide ? prefixes : prefixes.slice(0, ROWS);
  const texts = shown.map(({ prefix, verdict }) => `${formatPrefix(prefix)} ${verdict}`);
  const more = prefixes.length > shown.length ? ` and ${prefixes.length - shown.length} more: -o wide shows all` : "";
  return line(`${style.bold("OTHERWISE FOR")}   ${texts.join(", ")}${more}`);
}

/** Returns the policies that decide, as kubectl's `-o name` writes objects. */
export function explanationNames({ cases }: ExplainResult): string {
  const found = new Set(cases.flatMap(decidingPolicies).map(({ ref }) => printable(objectName(ref))));
  return [...found]
    .sort()
    .map((name) => `${name}\n`)
    .join("");
}
