import type { LinkPair, LinkTable } from "./linkTable.ts";
import { safeJson } from "./text.ts";

/** Yields each pair of ends with each protocol's ports, as JSON. `verdictsOf` says what stands behind the ports. */
export function* pairsJson(links: LinkTable, verdictFields: (pair: LinkPair) => string): Generator<string> {
  const ends = links.ends.map((end) => safeJson(end));
  for (const pair of links.pairs()) {
    const verdicts = verdictFields(pair);
    const family =
      links.connectivity.families.length > 1 && pair.group.link.family !== 0 ? `,"ipFamily":"IPv${pair.group.link.family}"` : "";
    for (const { protocol, ports, sourcePorts } of pair.group.ports.ports) {
      const source = sourcePorts === undefined ? "" : `,"sourcePorts":"${sourcePorts}"`;
      yield `{"source":${ends[pair.source]},"destination":${ends[pair.destination]},"protocol":"${protocol}","ports":${safeJson(ports)}${source}${family}${verdicts}}`;
    }
  }
}
