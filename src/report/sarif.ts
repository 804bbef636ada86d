import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type Finding, type FindingPlace, type FindingReport, type FindingRule, pathInSources, type ReportOrigin } from "./findings.ts";
import { printable, safeJson } from "./text.ts";
import { TextBytes } from "./textBytes.ts";

const SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json";
const TOOL = "kubectl-kguardian";
const INFORMATION = "https://github.com/kguardian-dev/kguardian";
/** The top of the sources, by the name that CodeQL and others give it. */
const SOURCE_ROOT = "%SRCROOT%";

/** What closes a log behind its one run, as indented JSON. */
const END = "\n    }\n  ]\n}";

/**
 * Yields a SARIF 2.1.0 log with one run (OASIS sarif-v2.1.0), a result a line. GitHub code scanning refuses a whole file for one result
 * without a physical location (github/codeql-action issues 1738 and 2459), so what stands in no file is placed in an artifact that is
 * named after its object: `NetworkPolicy/shop/orders`. Nothing that was found is left out.
 */
export function* sarif(report: FindingReport, origin: ReportOrigin): Generator<string | Uint8Array> {
  const head = safeJson({ $schema: SCHEMA, version: "2.1.0", runs: [runWithoutResults(report, origin)] }, 2);
  yield `${head.slice(0, -END.length)},\n      "results": [`;
  // Section 3.27.23: suppressions are on all results of a run or on none.
  const isAnyAccepted = report.findings.some(({ accepted }) => accepted !== undefined);
  const fingerprints = new Fingerprints();
  const text = new TextBytes();
  for (const [i, finding] of report.findings.entries()) {
    const result = {
      ruleId: finding.rule.id,
      ruleIndex: report.rules.indexOf(finding.rule),
      level: finding.level,
      message: { text: withLinks(finding) },
      locations: [location(finding.places[0], origin)],
      ...related(finding, origin),
      partialFingerprints: fingerprints.of(finding),
      ...(isAnyAccepted ? { suppressions: suppressions(finding) } : {}),
    };
    text.add(`${i > 0 ? "," : ""}\n        ${safeJson(result)}`);
    if (text.isFull) yield text.take();
  }
  yield text.take();
  yield `${report.findings.length > 0 ? "\n      " : ""}]${END}\n`;
}

function runWithoutResults({ command, rules, warnings }: FindingReport, { version, sourceRoot }: ReportOrigin) {
  return {
    tool: {
      driver: { name: TOOL, version, semanticVersion: version, informationUri: INFORMATION, rules: rules.map(descriptor) },
    },
    // GitHub's category: of two uploads with one, the later replaces the earlier.
    automationDetails: { id: `${TOOL}/${command}/` },
    invocations: [
      {
        executionSuccessful: true,
        toolExecutionNotifications: warnings.map((warning) => ({ level: "warning", message: { text: messageText(warning) } })),
      },
    ],
    originalUriBaseIds: { [SOURCE_ROOT]: { uri: folderUri(sourceRoot) } },
    columnKind: "utf16CodeUnits",
  };
}

function descriptor({ id, summary, description, help, level }: FindingRule) {
  return {
    id,
    name: id.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    shortDescription: { text: summary },
    fullDescription: { text: description },
    help: { text: help },
    defaultConfiguration: { level },
    properties: { tags: ["kubernetes", "network-policy"] },
  };
}

/**
 * Returns text as a SARIF message has it (3.11.5, 3.11.6): braces are doubled, and nothing that came from outside becomes a link,
 * which viewers would show as text of ours.
 */
function messageText(text: string): string {
  return printable(text)
    .replace(/[{}]/g, (brace) => brace + brace)
    .replaceAll("](", "] (");
}

/** GitHub shows further places only where the message links to them. */
function withLinks({ message, places }: Finding): string {
  const links = places.flatMap(({ object, file, role = object }, i) =>
    i > 0 && file !== undefined ? [`[${messageText(role).replace(/[[\]\\]/g, "")}](${i})`] : [],
  );
  return messageText(message) + (links.length === 0 ? "" : `; see ${links.join(", ")}`);
}

function related({ places }: Finding, origin: ReportOrigin) {
  const further = places.flatMap((place, i) =>
    i > 0 && place.file !== undefined
      ? [{ id: i, message: { text: messageText(place.role ?? place.object) }, ...location(place, origin) }]
      : [],
  );
  return further.length === 0 ? {} : { relatedLocations: further };
}

function location(place: FindingPlace, origin: ReportOrigin) {
  const { object, line = 1, column } = place;
  return {
    physicalLocation: {
      artifactLocation: artifact(place, origin),
      region: { startLine: Math.max(1, line), ...(column === undefined ? {} : { startColumn: Math.max(1, column) }) },
    },
    logicalLocations: [{ fullyQualifiedName: printable(object), kind: "resource" }],
  };
}

function artifact({ object, file }: FindingPlace, origin: ReportOrigin) {
  if (file === undefined)
    return {
      uri: encodePath(object.split(/[ /]/).map((part) => part.replace(/^\.{0,2}$/, "-"))),
      description: { text: messageText(`${object}, which was read from no file`) },
    };
  const path = pathInSources(file, origin);
  // A base goes with relative references only (3.4.4).
  if (path === undefined) return { uri: pathToFileURL(resolve(origin.workingDirectory, file).toWellFormed()).href };
  return { uri: encodePath(path.split("/")), uriBaseId: SOURCE_ROOT };
}

/** A base ends with a slash (3.14.14). */
function folderUri(path: string): string {
  const { href } = pathToFileURL(path.toWellFormed());
  return href.endsWith("/") ? href : `${href}/`;
}

function encodePath(parts: readonly string[]): string {
  return parts.map((part) => encodeURIComponent(part.toWellFormed())).join("/");
}

function suppressions({ accepted }: Finding) {
  return accepted === undefined ? [] : [{ kind: "external", status: "accepted", justification: printable(accepted) }];
}

/**
 * Makes fingerprints that stay when lines move. GitHub tells alerts apart by `primaryLocationLineHash`, and its upload action makes one
 * of the line alone where it is missing: then two findings on one policy would be one alert.
 */
class Fingerprints {
  readonly #counts = new Map<string, number>();

  of({ rule, identity }: Finding) {
    const hash = createHash("sha256")
      .update(JSON.stringify([rule.id, ...identity]))
      .digest("hex")
      .slice(0, 32);
    const count = (this.#counts.get(hash) ?? 0) + 1;
    this.#counts.set(hash, count);
    return { primaryLocationLineHash: `${hash}:${count}`, "kguardianFinding/v1": `${hash}:${count}` };
  }
}
