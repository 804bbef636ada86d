import type { Cluster } from "../cluster/snapshot.ts";
import { TCP, UDP } from "../net/protocol.ts";
import { parseDuration } from "../net/time.ts";
import { compileArrivals } from "./arrivals.ts";
import { CallGraph } from "./callGraph.ts";
import { type Changes, planChanges, type Run } from "./changes.ts";
import { type Conversation, type Ending, type Exchange, isAnswered, type Measure } from "./conversation.ts";
import { lookup } from "./exchanges.ts";
import { measure } from "./measure.ts";
import { type Family, Parties, type Party } from "./parties.ts";
import type { Partition, ProfileSpec, TrafficProfile } from "./profile.ts";
import { mix, Random, WeightedChoice } from "./random.ts";
import { compileRoutes, hostOf, type Listener, type Route, type Routes } from "./routes.ts";
import { PodSelector } from "./selections.ts";
import { TimeQueue } from "./timeQueue.ts";
import { microseconds, parseSpan, SECOND } from "./units.ts";

export const DEFAULT_DURATION = "5m";
const DEFAULT_RATE = 20;

/** What a run is made of besides the profile. */
export interface TrafficOptions {
  readonly seed: number;
  /** Epoch seconds, a whole number. */
  readonly startSeconds: number;
  /** In place of the profile's. */
  readonly durationSeconds?: number | undefined;
  readonly rate?: number | undefined;
}

/** Traffic that is about to be made. `conversations` may be asked for once. */
export interface Traffic {
  readonly run: Run;
  readonly rate: number;
  readonly changes: Changes;
  /** What of the profile the snapshot has nothing for, one line each. */
  readonly warnings: readonly string[];
  /** What came to nothing, by the reason; counts are whole when the conversations have been made. */
  readonly leftOut: ReadonlyMap<string, number>;
  /** All conversations in order of start, no two of which begin in the same microsecond. */
  conversations(): Iterable<Measured>;
}

/** A conversation and what a whole capture of it holds. */
export interface Measured {
  readonly conversation: Conversation;
  readonly measure: Measure;
}

/** A profile that finds nobody in a cluster. */
export interface EmptyTraffic {
  readonly isEmpty: true;
  readonly warnings: readonly string[];
}

/** Prepares the traffic of a profile in a cluster. Equal inputs give equal traffic. */
export function prepareTraffic(cluster: Cluster, { spec }: TrafficProfile, options: TrafficOptions): Traffic | EmptyTraffic {
  const { seed, startSeconds } = options;
  const durationSeconds = options.durationSeconds ?? parseDuration(spec.duration ?? DEFAULT_DURATION)!;
  const run = { startSeconds, durationSeconds };
  const rate = options.rate ?? spec.rate ?? DEFAULT_RATE;
  const graph = new CallGraph(cluster);
  const select = new PodSelector(cluster, graph, seed, startSeconds);
  const changes = planChanges(cluster, spec, run, select, new Random(seed, "changes"));
  const parties = new Parties(cluster, changes, startSeconds);
  const routes = compileRoutes(spec, { cluster, graph, parties, select });
  const cuts = (spec.events ?? []).flatMap(({ partition }) => (partition === undefined ? [] : [cutOf(partition, run, select)]));
  const warnings = [...routes.warnings, ...changes.warnings];
  if (cuts.some(({ nodes }) => nodes.size === 0)) warnings.push("a partition cuts nobody off: it selects no node of the snapshot");
  if (routes.isEmpty) return { isEmpty: true, warnings };
  const leftOut = new Map<string, number>();
  return {
    run,
    rate,
    changes,
    warnings,
    leftOut,
    conversations: () => new TrafficMaker(spec, run, rate, seed, routes, cuts, leftOut).make(),
  };
}

/** Nodes between which nothing arrives for a while; times in microseconds. */
interface Cut {
  readonly from: number;
  readonly until: number;
  readonly nodes: ReadonlySet<string>;
  /** undefined: all others. */
  readonly others: ReadonlySet<string> | undefined;
}

function cutOf({ nodes, others, at, length }: Partition, { startSeconds, durationSeconds }: Run, select: PodSelector): Cut {
  const namesOf = (selection: Partition["nodes"]) => new Set(select.nodes(selection).map(({ name }) => name));
  const from = (startSeconds + parseSpan(at, durationSeconds)!) * SECOND;
  const until = from + parseSpan(length, durationSeconds)! * SECOND;
  return { from, until, nodes: namesOf(nodes), others: others === undefined ? undefined : namesOf(others) };
}

/** Something that a client is about to do. */
interface Attempt {
  readonly at: number;
  readonly route: Route;
  readonly client: Party;
  readonly family: Family;
  /** Retries that are left. */
  readonly retries: number;
}

/** How often a route or target is drawn anew where nobody fits: then the call is left out. */
const DRAWS = 8;

/** Makes conversations one by one. Lookups come before what they are for, retries after what failed: both wait in a heap. */
class TrafficMaker {
  readonly #routes: Routes;
  readonly #cuts: readonly Cut[];
  readonly #leftOut: Map<string, number>;
  readonly #random: Random;
  readonly #families: WeightedChoice<Family> | undefined;
  readonly #retries: number;
  readonly #retryAfter: number;
  readonly #lookups: boolean;
  readonly #next: (after: number) => number;
  readonly #start: number;
  readonly #length: number;
  readonly #waiting = new TimeQueue<Attempt>(({ at }) => at);
  readonly #entropySeed: number;
  #made = 0;
  #latest = 0;

  constructor(spec: ProfileSpec, run: Run, rate: number, seed: number, routes: Routes, cuts: readonly Cut[], leftOut: Map<string, number>) {
    this.#routes = routes;
    this.#cuts = cuts;
    this.#leftOut = leftOut;
    this.#random = new Random(seed, "traffic");
    const { IPv4 = 0, IPv6 = 0 } = spec.families ?? {};
    if (IPv4 + IPv6 > 0)
      this.#families = new WeightedChoice<Family>([
        [4, IPv4],
        [6, IPv6],
      ]);
    this.#retries = spec.retries?.count ?? 0;
    this.#retryAfter = microseconds(spec.retries?.after ?? "1s");
    this.#lookups = spec.lookups ?? true;
    this.#next = compileArrivals(spec.arrivals ?? { distribution: "poisson" }, rate, run.durationSeconds, new Random(seed, "arrivals"));
    this.#start = run.startSeconds * SECOND;
    this.#length = run.durationSeconds * SECOND;
    this.#entropySeed = new Random(seed, "entropy").word();
  }

  *make(): Generator<Measured> {
    const waiting = this.#waiting;
    let arrival = this.#next(0);
    for (;;) {
      const first = waiting.first;
      const isNew = first === undefined || this.#start + arrival < first.at;
      if (isNew && arrival >= this.#length) {
        if (first === undefined) return;
        arrival = Number.POSITIVE_INFINITY;
        continue;
      }
      const attempt = isNew ? this.#newAttempt(this.#start + arrival) : waiting.take();
      if (isNew) arrival = this.#next(arrival);
      // What would begin after the run is not made.
      if (attempt === undefined || attempt.at >= this.#start + this.#length) continue;
      const made = this.#try(attempt);
      if (made !== undefined) yield made;
    }
  }

  #leave(reason: string): undefined {
    this.#leftOut.set(reason, (this.#leftOut.get(reason) ?? 0) + 1);
    return undefined;
  }

  #newAttempt(at: number): Attempt | undefined {
    const random = this.#random;
    const preferred = this.#families?.choose(random);
    for (let draw = 0; draw < DRAWS; draw++) {
      const route = this.#routes.choice.choose(random).choose(random);
      const attempt = this.#attemptOn(route, at, preferred);
      if (attempt !== undefined) return attempt;
    }
    return this.#leave("nobody was there to call or to be called");
  }

  #attemptOn(route: Route, at: number, preferred: Family | undefined): Attempt | undefined {
    const retries = this.#retries;
    if (preferred !== undefined) {
      const other = preferred === 4 ? 6 : 4;
      for (const family of [preferred, other] as const) {
        const targets = route.targets.ofFamily(at, family);
        const client = this.#clientOf(route.clients.ofFamily(at, family), targets);
        if (client !== undefined && targets.length > 0) return { at, route, client, family, retries };
      }
      return undefined;
    }
    const client = this.#clientOf(route.clients.at(at), route.targets.at(at));
    if (client === undefined) return undefined;
    const other = client.family === 4 ? 6 : 4;
    const family = route.targets.ofFamily(at, client.family).length > 0 ? client.family : other;
    if (client.addresses[family] === undefined || route.targets.ofFamily(at, family).length === 0) return undefined;
    return { at, route, client, family, retries };
  }

  /** Returns one of the clients that has somebody else to call. */
  #clientOf(clients: readonly Party[], targets: readonly Party[]): Party | undefined {
    if (clients.length === 0) return undefined;
    for (let draw = 0; draw < DRAWS; draw++) {
      const client = this.#oneOf(clients);
      if (targets.length !== 1 || targets[0] !== client) return client;
    }
    return undefined;
  }

  #oneOf<Item>(items: readonly Item[]): Item {
    return items.length === 1 ? items[0] : items[this.#random.below(items.length)];
  }

  /** Makes the conversation of an attempt, or of the lookup that comes before it. */
  #try(attempt: Attempt): Measured | undefined {
    const { route, client, family } = attempt;
    // Strictly one after the other, so that whoever sorts by time finds this very order.
    const now = Math.max(Math.ceil(attempt.at), this.#latest + 1);
    if (now >= client.until) return undefined;
    this.#routes.clock.now = now;
    const { name } = route;
    if (name !== undefined && client.kind === "pod" && this.#lookups && !client.known[family].has(name)) {
      const asked = this.#lookUp(attempt, name, now);
      if (asked !== undefined) return asked;
    }
    const target = this.#targetOf(route, client, family, now);
    if (target === undefined) return this.#leave("nobody was there to call or to be called");
    const { party, listener } = target;
    const host = name === undefined || client.kind === "outside" ? hostOf(client, party, party.addresses[family]!) : name;
    const cut = this.#isCut(client, party, now);
    const ending = cut ? "unanswered" : this.#endingOf(route, party, listener, now);
    const { exchanges, pause } = listener.talk(this.#random, { host, namespace: client.pod?.namespace });
    const made = this.#converse(client, party, listener, family, now, ending, exchanges, pause, route);
    if (made !== undefined && (ending === "refused" || ending === "unanswered") && listener.protocol === TCP) this.#retry(attempt, now);
    return made;
  }

  /** Asks for a name, and lets the call wait for the answer. Returns undefined where there is nobody to ask. */
  #lookUp(attempt: Attempt, name: string, now: number): Measured | undefined {
    const { dns, resolve } = this.#routes;
    const { client, family } = attempt;
    if (dns === undefined) return undefined;
    // Resolvers are asked over whatever family both ends have, for either family of the name.
    const over = ([client.family, 4, 6] as const).find(
      (each) => client.addresses[each] !== undefined && dns.targets.ofFamily(now, each).length > 0,
    );
    const target = over === undefined ? undefined : this.#targetOf(dns, client, over, now);
    if (over === undefined || target === undefined) return undefined;
    const isLost = this.#isCut(client, target.party, now) || now >= target.party.until;
    const asked = lookup(name, family, resolve);
    const made = this.#converse(client, target.party, target.listener, over, now, isLost ? "unanswered" : "finished", [asked], 0, dns);
    if (made === undefined) return undefined;
    if (isLost) {
      this.#leave("a name could not be looked up");
      return made;
    }
    client.known[family].add(name);
    this.#waiting.add({ ...attempt, at: now + made.conversation.roundTrip + 1 });
    return made;
  }

  #targetOf(route: Route, client: Party, family: Family, now: number): { readonly party: Party; readonly listener: Listener } | undefined {
    const targets = route.targets.ofFamily(now, family);
    if (targets.length === 0) return undefined;
    if (route.isSweep) return this.#sweep(route, targets, client);
    for (let draw = 0; draw < DRAWS; draw++) {
      const party = this.#oneOf(targets);
      // Whoever calls itself does so within its own network.
      if (party !== client) return { party, listener: this.#oneOf(route.listenersOf(party)) };
    }
    return undefined;
  }

  #sweep(route: Route, targets: readonly Party[], client: Party): { readonly party: Party; readonly listener: Listener } | undefined {
    for (let step = 0; step <= targets.length; step++) {
      const party = targets[route.nextTarget % targets.length];
      const listeners = route.listenersOf(party);
      if (party !== client && route.nextPort < listeners.length) return { party, listener: listeners[route.nextPort++] };
      route.nextTarget = (route.nextTarget + 1) % targets.length;
      route.nextPort = 0;
    }
    return undefined;
  }

  #endingOf(route: Route, party: Party, listener: Listener, now: number): Ending {
    if (now >= party.until) return this.#random.uniform() < 0.5 ? "refused" : "unanswered";
    return (route.isOpen(party, listener) ? route.endings : route.closed).choose(this.#random);
  }

  #isCut(client: Party, server: Party, now: number): boolean {
    for (const { from, until, nodes, others } of this.#cuts) {
      const [a, b] = [client.nodeName, server.nodeName];
      if (now < from || now >= until || a === undefined || b === undefined || a === b) continue;
      const isOther = (name: string) => (others === undefined ? !nodes.has(name) : others.has(name));
      if ((nodes.has(a) && isOther(b)) || (nodes.has(b) && isOther(a))) return true;
    }
    return false;
  }

  #converse(
    client: Party,
    server: Party,
    { port, protocol }: Listener,
    family: Family,
    now: number,
    drawn: Ending,
    exchanges: readonly Exchange[],
    pause: number,
    route: Route,
  ): Measured | undefined {
    const clientPort = client.ports.take(now);
    if (clientPort < 0) return this.#leave("all ports of the client were in use");
    const isUdp = protocol === UDP;
    // Datagrams that nothing comes back to are one-way; FIN and RST are TCP's.
    const isOneWay = isUdp && !exchanges.some(isAnswered);
    const ending = isUdp && drawn !== "refused" && drawn !== "unanswered" ? (isOneWay ? "unanswered" : "finished") : drawn;
    const isMute = ending === "refused" || (ending === "unanswered" && !isUdp);
    const conversation: Conversation = {
      start: now,
      client: client.addresses[family]!,
      clientPort,
      server: server.addresses[family]!,
      serverPort: port,
      protocol,
      roundTrip: this.#roundTripOf(client, server, route),
      exchanges: isMute ? NOTHING : exchanges,
      pause: isMute ? 0 : pause,
      ending,
      entropy: mix(this.#entropySeed + this.#made),
    };
    const goneAt = Math.min(client.goneAt, server.goneAt);
    const fitting = within(conversation, goneAt);
    if (fitting === undefined) return this.#leave("a pod ended before the connection would have");
    client.ports.occupy(clientPort, fitting.measure.end);
    this.#made++;
    this.#latest = now;
    return fitting;
  }

  /** One for a client and a server: what began first is then heard of first, whoever looks. */
  #roundTripOf(client: Party, server: Party, route: Route): number {
    let roundTrip = client.roundTrips.get(server);
    if (roundTrip === undefined) client.roundTrips.set(server, (roundTrip = route.roundTrip.draw(this.#random)));
    return roundTrip;
  }

  #retry(attempt: Attempt, now: number): void {
    if (attempt.retries === 0) return;
    const wait = this.#retryAfter * 2 ** (this.#retries - attempt.retries);
    this.#waiting.add({ ...attempt, at: now + wait, retries: attempt.retries - 1 });
  }
}

const NOTHING: readonly Exchange[] = [];

/** Returns a conversation that ends before a moment: with one exchange where it must be, undefined where even that goes on too long. */
function within(conversation: Conversation, goneAt: number): Measured | undefined {
  const whole = measure(conversation);
  if (whole.end < goneAt) return { conversation, measure: whole };
  if (conversation.exchanges.length < 2) return undefined;
  return within({ ...conversation, exchanges: conversation.exchanges.slice(0, 1), pause: 0 }, goneAt);
}
