import { faultText, type PolicyAnswer, type SideExplanation } from "../evaluate/explanation.ts";
import { describePorts } from "../evaluate/ruleFaults.ts";
import { plural } from "../net/number.ts";
import { formatPrefix } from "../net/prefix.ts";
import { policyTitle } from "../policy/model.ts";
import { type ExplainedCase, type ExplainResult, isChange } from "./explanation.ts";
import { familiesText, otherPortsText, portsText } from "./explanationTable.ts";
import { endpointLabel, placeLabel } from "./labels.ts";
import { markdownText } from "./markdown.ts";
import { decisionMessage } from "./simulationResult.ts";
import { textDiff } from "./textDiff.ts";

/** Returns the explanation for a pull-request comment or a wiki, every rule included. */
export function explanationMarkdown(result: ExplainResult): string {
  const { source, destination, policies, cni, cases, otherPorts, prefixes, warnings } = result;
  const lines = [
    `## ${markdownText(`${source} to ${destination}`)}`,
    "",
    markdownText(`Against ${plural(policies, "policy", "policies")} · CNI ${cni.name} (${cni.because})`),
    "",
  ];
  for (const one of cases) lines.push(...caseLines(one));
  if (otherPorts.length > 0) lines.push(`**Other ports:** ${markdownText(otherPortsText(otherPorts))}`, "");
  if (prefixes.length > 0)
    lines.push(`**Otherwise for:** ${prefixes.map(({ prefix, verdict }) => `${formatPrefix(prefix)} ${verdict}`).join(", ")}`, "");
  for (const warning of warnings) lines.push(`> ${markdownText(warning)}`, "");
  return `${lines.join("\n").trimEnd()}\n`;
}

function caseLines(one: ExplainedCase): string[] {
  const { ends, ports, judgement, sources, destinations, families } = one;
  const via = ends.via?.service === undefined ? "" : ` (${ends.via.service})`;
  const title = `${endpointLabel(ends.sourceEndpoint)} → ${endpointLabel(ends.destinationEndpoint)}${via} ${portsText(ports)}`;
  const lines = [
    `### ${judgement.verdict === "deny" ? "Denied" : judgement.verdict === "allow" ? "Allowed" : "Unknown"}: ${markdownText(title)}`,
    "",
  ];
  for (const pods of [sources, destinations]) if (pods !== undefined) lines.push(markdownText(`Only ${pods.join(", ")}`), "");
  if (families !== undefined) lines.push(`Only over ${familiesText(families)}`, "");
  for (const side of [one.egress, one.ingress]) lines.push(...sideLines(one, side));
  return [...lines, ...changeLines(one)];
}

function sideLines({ ends }: ExplainedCase, { direction, decision, policies, nearlySelecting }: SideExplanation): string[] {
  const title = direction === "egress" ? "Egress" : "Ingress";
  const lines = [`**${title}** ${decision.verdict}: ${markdownText(decisionMessage(decision, direction, ends))}`, ""];
  for (const answer of policies) lines.push(...policyLines(answer));
  for (const { policy, text } of nearlySelecting) lines.push(`- ${markdownText(`${policyTitle(policy.ref)} does not select it: ${text}`)}`);
  if (policies.length + nearlySelecting.length > 0) lines.push("");
  return lines;
}

function policyLines({ policy, isolates, decides, rules }: PolicyAnswer): string[] {
  const place = placeLabel(policy.ref);
  const title = `${policyTitle(policy.ref)}${place === "" ? "" : ` (${place})`}${isolates ? (decides ? ": isolates, and so denies" : ": isolates") : ""}`;
  const own = rules.map(({ rule, ref, role, why }) => {
    const text = `${ref.path}${placeLabel(ref) === "" ? "" : ` (${placeLabel(ref)})`} ${rule.action} ${describePorts(rule.ports)}${why === undefined ? "" : `: ${faultText(why)}`}`;
    return `  - ${role === "decides" ? "**decides**" : role} ${markdownText(text)}`;
  });
  return [`- ${markdownText(title)}`, ...own];
}

function changeLines({ change }: ExplainedCase): string[] {
  if (!isChange(change)) return [`**Smallest change:** none, ${markdownText(change.message)}`, ""];
  const lines = [`**Smallest change** that would ${change.verdict} it:`, ""];
  for (const { ref, what, notes, before, after } of change.objects) {
    lines.push(`- ${markdownText([`${policyTitle(ref)}: ${what.join(", ")}`, ...notes].join("; "))}`, "");
    // Whatever ends a fence in a policy's text would end this one: indented code has none.
    lines.push(...textDiff(before, after).map((line) => `      ${line}`), "");
  }
  return lines;
}
