import type { Pod } from "../cluster/objects.ts";
import type { Decision } from "../evaluate/decision.ts";
import type { Ends } from "../evaluate/ends.ts";
import { explainSide } from "../evaluate/explanation.ts";
import { besideUnread, type Judgement, judgeEnds } from "../evaluate/judge.ts";
import { type Family, type Outside, type Stand, standOfAddress } from "../evaluate/stands.ts";
import { findSmallestChange } from "../generate/change/smallestChange.ts";
import { TRANSPORTS } from "../net/protocol.ts";
import type { ExplainedCase, ExplainResult, OtherPorts } from "../report/explanation.ts";
import { type Asked, packetOf, rangesOf, type Setting } from "./explainedConnections.ts";

function judge({ ends, packet }: Pick<Asked, "ends" | "packet">, { evaluator, isUnread: unread }: Setting): Judgement {
  return besideUnread(judgeEnds(evaluator, ends, packet), ends, evaluator, unread);
}

/** Puts together what is judged alike, by the same rules. */
export function casesOf(asked: readonly Asked[], setting: Setting): ExplainedCase[] {
  const numbers = new Map<Decision, number>();
  const numberOf = (decision: Decision) => {
    const number = numbers.get(decision) ?? numbers.size;
    numbers.set(decision, number);
    return number;
  };
  const groups = new Map<string, Group>();
  for (const each of asked.toSorted(byName)) {
    const judgement = judge(each, setting);
    const key = `${numberOf(judgement.egress)} ${numberOf(judgement.ingress)} ${each.port.dialled === undefined || each.port.dialled === each.port.port}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { judgement, members: [each] });
    else group.members.push(each);
  }
  const whole = { sources: podsOf(asked, "source"), destinations: podsOf(asked, "destination"), families: familiesOf(asked) };
  const parts = [...groups.values()].flatMap(byFamily);
  return parts.map((group) => caseOf(group, whole, otherFamilies(group, parts), setting));
}

/** Returns the same pods' connections of other families where they have the same verdict for other reasons: a change is for them too. */
function otherFamilies({ judgement, members }: Group, groups: readonly Group[]): Asked[] {
  const own = familiesOf(members);
  const keys = new Set(members.map(portKey));
  const [sources, destinations] = [podsOf(members, "source"), podsOf(members, "destination")];
  const isOf = (pods: ReadonlySet<Pod>, stand: Stand | undefined) => pods.size === 0 || stand?.pods.some((pod) => pods.has(pod)) === true;
  return groups
    .filter((group) => group.members !== members && group.judgement.verdict === judgement.verdict)
    .flatMap((group) => group.members)
    .filter(({ family }) => family !== undefined && !own.has(family))
    .filter((each) => keys.has(portKey(each)) && isOf(sources, each.source) && isOf(destinations, each.destination));
}

/** Connections that are judged alike. */
interface Group {
  readonly judgement: Judgement;
  readonly members: Asked[];
}

/** What is asked about as a whole: a case says what of it is not its own. */
interface Whole {
  readonly sources: ReadonlySet<Pod>;
  readonly destinations: ReadonlySet<Pod>;
  readonly families: ReadonlySet<Family>;
}

function familiesOf(asked: readonly Asked[]): Set<Family> {
  return new Set(asked.flatMap(({ family }) => family ?? []));
}

/** Parts a group by address family where it is of other pods or ports in one than in the other: a case says both in one line. */
function byFamily(group: Group): Group[] {
  const parts = Map.groupBy(group.members, ({ family }) => family);
  const texts = [...parts.values()].map((members) => {
    const pods = (["source", "destination"] as const).map((end) => [...podsOf(members, end)].map(({ name }) => name).sort());
    return JSON.stringify([pods, [...new Set(members.map(portKey))].sort()]);
  });
  if (new Set(texts).size === 1) return [group];
  return [...parts.values()].map((members) => ({ judgement: group.judgement, members }));
}

function portKey({ port: { protocol, dialled, port } }: Asked): string {
  return `${protocol}/${dialled ?? ""}/${port}`;
}

/** Equal clusters give equal reports, in whatever order their objects come: by port, then by family, then by the names of both ends. */
function byName(a: Asked, b: Asked): number {
  const ports = a.port.protocol - b.port.protocol || (a.port.dialled ?? a.port.port) - (b.port.dialled ?? b.port.port);
  const text = ({ ends: { sourceEndpoint: from, destinationEndpoint: to } }: Asked) =>
    `${from.namespace}/${from.name} ${from.ip} ${to.namespace}/${to.name} ${to.ip}`;
  const [x, y] = [text(a), text(b)];
  const families = (a.family ?? 0) - (b.family ?? 0);
  return ports || families || (x < y ? -1 : x > y ? 1 : 0);
}

function podsOf(asked: readonly Asked[], end: "source" | "destination"): Set<Pod> {
  return new Set(asked.flatMap((each) => each[end]?.pods ?? []));
}

function caseOf({ judgement, members }: Group, whole: Whole, along: readonly Asked[], setting: Setting): ExplainedCase {
  const [first] = members;
  const { ends, packet, port } = first;
  const side = (direction: "egress" | "ingress") => {
    const hidden = direction === "ingress" ? ends.arrivesFrom?.at(-1) : undefined;
    const question = {
      direction,
      source: hidden ?? ends.source,
      destination: ends.targets[0]?.participant ?? ({ type: "unknown" } as const),
      protocol: packet.protocol,
      port: ends.port,
      sourcePort: packet.sourcePort,
      ...(port.dialled === undefined ? {} : { dialledPort: port.dialled }),
      ...(port.isAny === true ? { isAnyPort: true } : {}),
    };
    return explainSide(setting.evaluator, question, judgement[direction]);
  };
  const namesOf = (end: "source" | "destination", all: ReadonlySet<Pod>) => {
    const own = podsOf(members, end);
    return own.size === all.size ? undefined : [...own].map(({ name }) => name).sort();
  };
  const { set, evaluator, world, workloads } = setting;
  const { profile } = evaluator;
  const isWholeOutside = setting.outsides !== undefined;
  const changing = (each: Asked) => ({ ends: each.ends, packet: each.packet, isAnyPort: each.port.isAny === true, isWholeOutside });
  const byPort = new Map(members.map((each) => [portKey(each), each.port]));
  const families = familiesOf(members);
  return {
    ends,
    ports: [...byPort.values()].sort((a, b) => a.protocol - b.protocol || a.port - b.port),
    judgement,
    egress: side("egress"),
    ingress: side("ingress"),
    sources: namesOf("source", whole.sources),
    destinations: namesOf("destination", whole.destinations),
    families: families.size === whole.families.size ? undefined : [...families],
    connections: members.length,
    change: findSmallestChange(members.map(changing), { set, evaluator, world, profile, workloads }, along.map(changing)),
  };
}

/** Judges the ports that are not explained one by one, as ranges that no rule tells apart. */
export function otherPortsOf(asked: readonly Asked[], setting: Setting): OtherPorts[] {
  // A Service leads nowhere on other ports.
  const direct = asked.filter(({ ends }) => ends.via === undefined && ends.targets.length === 1);
  const pairs = [...new Map(direct.map((each) => [`${standKey(each.source)} ${standKey(each.destination!)}`, each])).values()];
  if (pairs.length === 0) return [];
  const explained = new Set(direct.filter(({ port }) => port.isAny !== true).map(({ port }) => `${port.protocol}/${port.port}`));
  return TRANSPORTS.flatMap((protocol) => {
    const ranges = rangesOf(setting.evaluator.ports.samples, protocol).flatMap((range) => withoutExplained(range, protocol, explained));
    const judged = ranges.map(({ first, last }): OtherPorts => {
      const verdicts = new Set(
        pairs.map(({ ends }) => {
          const targets = [{ ...ends.targets[0], port: first }];
          return judge({ ends: { ...ends, port: first, targets }, packet: packetOf(protocol) }, setting).verdict;
        }),
      );
      const [verdict] = verdicts;
      return { protocol, first, last, verdict: verdicts.size === 1 ? verdict : "differs" };
    });
    return joined(judged);
  });
}

const standKey = ({ participant, address, endpoint }: Stand) => `${participant.type} ${endpoint.namespace}/${endpoint.name} ${address}`;

function withoutExplained({ first, last }: { first: number; last: number }, protocol: number, explained: ReadonlySet<string>) {
  const cuts = [...explained]
    .map((key) => key.split("/").map(Number))
    .filter(([own, port]) => own === protocol && port >= first && port <= last)
    .map(([, port]) => port)
    .sort((a, b) => a - b);
  const rest: { first: number; last: number }[] = [];
  let from = first;
  for (const port of cuts) {
    if (from < port) rest.push({ first: from, last: port - 1 });
    from = port + 1;
  }
  if (from <= last) rest.push({ first: from, last });
  return rest;
}

/** Joins ranges that follow one another with one verdict; a port that is explained apart does not part them. */
function joined(ranges: readonly OtherPorts[]): OtherPorts[] {
  const found: OtherPorts[] = [];
  for (const range of ranges) {
    const before = found.at(-1);
    if (before !== undefined && before.verdict === range.verdict) found[found.length - 1] = { ...before, last: range.last };
    else found.push(range);
  }
  return found;
}

/** Where an end is `external`: the prefixes that rules name and for which the verdict is another. */
export function prefixesOf(isSource: boolean, asked: readonly Asked[], setting: Setting): ExplainResult["prefixes"] {
  return [...(setting.outsides ?? [])].flatMap(([family, outside]) => {
    const own = asked.filter((each) => each.family === family);
    return own.length === 0 ? [] : otherPrefixes(outside, isSource, own, setting);
  });
}

function otherPrefixes({ prefixes }: Outside, isSource: boolean, asked: readonly Asked[], setting: Setting): ExplainResult["prefixes"] {
  const base = new Set(asked.map((each) => judge(each, setting).verdict));
  return prefixes.flatMap(({ prefix, address }): ExplainResult["prefixes"] => {
    const stand = standOfAddress(address, setting);
    const verdicts = new Set(asked.map(({ ends, packet }) => judge({ ends: moved(ends, stand, isSource), packet }, setting).verdict));
    const [verdict] = verdicts;
    return verdicts.size !== 1 || (base.size === 1 && base.has(verdict)) ? [] : [{ prefix, verdict }];
  });
}

/** Returns ends with another outside address in place of one. */
function moved(ends: Ends, stand: Stand, isSource: boolean): Ends {
  const { participant, endpoint } = stand;
  const address = stand.address ?? 0n;
  if (!isSource)
    return { ...ends, destinationEndpoint: endpoint, destinationAddress: address, targets: [{ ...ends.targets[0], participant, address }] };
  const { arrivesFrom } = ends;
  return {
    ...ends,
    source: participant,
    sourceAddress: address,
    sourceEndpoint: endpoint,
    arrivesFrom: arrivesFrom === undefined ? undefined : [participant, ...arrivesFrom.slice(1)],
  };
}
