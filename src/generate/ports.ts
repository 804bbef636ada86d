import type { Pod } from "../cluster/objects.ts";
import { FIRST_EPHEMERAL_PORT } from "../net/clientPorts.ts";
import { hasPorts, TCP, UDP } from "../net/protocol.ts";
import type { PortMatch } from "../policy/model.ts";
import type { SeenPort } from "./gather.ts";

/** The ports of one rule. Equal keys are equal ports. */
export interface RulePorts {
  readonly matches: readonly PortMatch[];
  readonly key: string;
  /** What a reader should know, a line each. */
  readonly remarks: readonly string[];
}

/** So many ports in a row are written as a range. */
const ADJACENT = 3;
/** From here on IANA lets systems choose ports themselves (RFC 6335). */
const DYNAMIC = 49152;
const LAST_PORT = 65535;
/** More ephemeral ports than this with one peer are chosen anew each time: others will come. */
const FEW_EPHEMERAL = 4;

/**
 * Returns the ports of a rule: named where all `pods` (the destination's) give a port the one name, in ranges where they are
 * adjacent or ephemeral, in order. `pods` is empty outside the cluster, and where names must not be used.
 */
export function rulePorts(seen: readonly SeenPort[], pods: readonly Pod[]): RulePorts {
  const remarks: string[] = [];
  const matches: PortMatch[] = [];
  const others = new Map<string, PortMatch>();
  for (const { match, protocol } of seen) if (!hasPorts(protocol)) others.set(JSON.stringify(match), match);
  const numbered = Map.groupBy(
    seen.filter(({ protocol }) => hasPorts(protocol)),
    ({ protocol }) => protocol,
  );
  for (const [protocol, ofProtocol] of [...numbered].sort(([a], [b]) => a - b)) {
    let numbers = [...new Set(ofProtocol.map(({ port }) => port))].sort((a, b) => a - b);
    const names = new Set<string>();
    numbers = numbers.filter((number) => {
      const name = commonName(
        pods,
        protocol,
        number,
        new Set(ofProtocol.filter(({ port }) => port === number).flatMap((each) => [...each.pods])),
      );
      if (name !== undefined) names.add(name);
      return name === undefined;
    });
    for (const name of [...names].sort()) matches.push({ protocol, ports: { name } });
    const ephemeral = numbers.filter((number) => number >= FIRST_EPHEMERAL_PORT);
    const isDynamic = ephemeral.length > FEW_EPHEMERAL && runsOf(ephemeral).length > 1;
    if (isDynamic) {
      numbers = numbers.filter((number) => number < FIRST_EPHEMERAL_PORT);
      remarks.push(
        `${ephemeral.length} ephemeral ports were seen (${ephemeral[0]} to ${ephemeral[ephemeral.length - 1]}): the next will be others, so that all of their range are open`,
      );
    }
    for (const [first, last] of runsOf(numbers)) {
      if (last - first + 1 >= ADJACENT) matches.push({ protocol, ports: { first, last } });
      else for (let port = first; port <= last; port++) matches.push({ protocol, ports: { first: port, last: port } });
    }
    if (isDynamic) matches.push({ protocol, ports: { first: ephemeral[0] >= DYNAMIC ? DYNAMIC : FIRST_EPHEMERAL_PORT, last: LAST_PORT } });
  }
  matches.push(...[...others].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, match]) => match));
  return { matches, key: JSON.stringify(matches), remarks };
}

/** Returns the ports of a rule for DNS: resolvers ask again by TCP when an answer is too long for UDP (RFC 7766, 5). */
export function dnsPorts(seen: readonly { readonly port: number }[]): RulePorts {
  const numbers = [...new Set(seen.map(({ port }) => port))].sort((a, b) => a - b);
  const matches = numbers.flatMap((port) => [UDP, TCP].map((protocol): PortMatch => ({ protocol, ports: { first: port, last: port } })));
  return { matches, key: JSON.stringify(matches), remarks: [] };
}

/** Returns stretches of adjacent numbers; `numbers` are sorted. */
function runsOf(numbers: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}

/**
 * Returns the name by which every pod knows the port that was seen on some of them, be it under other numbers elsewhere, as a named
 * target port of a Service has it. The name must stand for one port alone on each pod, and that port for the name alone (a pod may
 * declare one name several times, and one port under several names).
 */
function commonName(pods: readonly Pod[], protocol: number, number: number, seenOn: ReadonlySet<Pod>): string | undefined {
  const [first] = seenOn.size > 0 ? seenOn : pods;
  const name = first?.ports.find((each) => each.protocol === protocol && each.port === number && each.name !== undefined)?.name;
  if (name === undefined || pods.length === 0) return undefined;
  const isKnown = (pod: Pod) => {
    const named = pod.ports.filter((each) => each.name === name);
    const [only] = named;
    const isAlone = named.length === 1 && only.protocol === protocol;
    return (
      isAlone &&
      pod.ports.every((each) => each === only || each.protocol !== protocol || each.port !== only.port || each.name === undefined)
    );
  };
  const isSeenAs = (pod: Pod) => pod.ports.find((each) => each.name === name)?.port === number;
  return pods.every(isKnown) && [...(seenOn.size > 0 ? seenOn : pods)].every(isSeenAs) ? name : undefined;
}
