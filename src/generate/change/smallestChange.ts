import type { Decision } from "../../evaluate/decision.ts";
import { Evaluator, type Participant, type World } from "../../evaluate/evaluator.ts";
import { type Judgement, judgeEnds } from "../../evaluate/judge.ts";
import { nearlySelecting } from "../../evaluate/nearlySelecting.ts";
import { isIPv4 } from "../../net/address.ts";
import type { Direction, Policy, PolicyRef, PolicySet } from "../../policy/model.ts";
import { identityOf } from "../../policy/readPolicies.ts";
import type { AskedConnection, AskedPort, AskedSide, ChangeSurroundings } from "./asked.ts";
import type { Candidate } from "./candidates.ts";
import { closings } from "./closings.ts";
import { openings } from "./openings.ts";
import { applyEdit, type PolicyEdit } from "./policyEdit.ts";

/** One object of a change: its text before (none: it is new) and after, in its dialect. */
export interface ChangedObject {
  readonly ref: PolicyRef;
  readonly isNew: boolean;
  /** What is done to it, a clause each. */
  readonly what: readonly string[];
  readonly before: string | undefined;
  readonly after: string;
  /** What else that does. */
  readonly notes: readonly string[];
}

/** A change that was made, judged anew, and found to flip the verdict. */
export interface Change {
  readonly verdict: "allow" | "deny";
  readonly objects: readonly ChangedObject[];
  /** How many of the connections that were asked about it flips: all, where the pods are alike to what changed. */
  readonly flipped: number;
}

/** Why no change is proposed. */
export type NoChangeReason =
  /** The verdict is not known, so that there is nothing to flip. */
  | "verdict-unknown"
  /** Which backend is reached, or whether there is any, is not known. */
  | "no-single-target"
  /** No policy selects either end: outside, nodes, the host network. */
  | "not-selectable"
  /** A pod and itself, or its own node: the plugin asks no policy. */
  | "always-allowed"
  /** The plugin drops it whatever policies say. */
  | "dropped-by-plugin"
  /** The plugin enforces no policies at all. */
  | "never-enforced"
  /** One side can be opened; what the other says is not known. */
  | "other-side-unknown"
  /** What no edit of policies in these dialects says. */
  | "no-words";

export interface NoChange {
  readonly reason: NoChangeReason;
  readonly message: string;
}

const MESSAGES: Readonly<Record<NoChangeReason, string>> = {
  "verdict-unknown": "the verdict is not known, so that no change can be said to flip it",
  "no-single-target": "it has no backend that is known, so that no change can be said to flip it",
  "not-selectable": "no policy selects either end (outside the cluster, nodes, the host network)",
  "always-allowed": "the plugin always allows it: a pod and itself, or a pod and its own node",
  "dropped-by-plugin": "the plugin drops it, whatever policies say",
  "never-enforced": "the plugin enforces no policies (enable-policy: never)",
  "other-side-unknown": "the side that denies could be opened, but what the other one says is not known",
  "no-words": "no single edit of the policies in their dialects was found that would do it",
};

/** Edits that one change may take: a rule is removed where many allow. */
const MOST_EDITS = 24;
/** Connections that every trial judges; the rest is judged at the end. */
const TRIED = 32;
/** Candidates that are followed further where one edit does not do. */
const FOLLOWED = 6;

/**
 * Finds the smallest change of policies that flips the verdict of connections which are judged alike; the first of them that does not
 * say what is wanted is what edits are thought out from. Every edit is printed, read back and judged, so that what is proposed does what
 * it says. `along`: connections with the same verdict for other reasons, which it must flip too, and which are not counted.
 */
export function findSmallestChange(
  connections: readonly AskedConnection[],
  around: ChangeSurroundings,
  along: readonly AskedConnection[] = [],
): Change | NoChange {
  const tried = [...onePerFamily(connections).slice(0, TRIED), ...onePerFamily(along).slice(0, TRIED)];
  const together = findFor(tried, connections, around);
  if (isChange(together) || along.length > 0 || tried.length < 2) return together;
  // No one change is for all of them: that for the first is said to be so.
  const alone = findFor(tried.slice(0, 1), connections, around);
  return isChange(alone) ? alone : together;
}

/** Puts one connection of each address family first: they are tried, however many there are. */
function onePerFamily(connections: readonly AskedConnection[]): AskedConnection[] {
  const firsts = new Set([...Map.groupBy(connections, ({ ends }) => isIPv4(ends.destinationAddress)).values()].map(([first]) => first));
  return [...firsts, ...connections.filter((each) => !firsts.has(each))];
}

function isChange(found: Change | NoChange): found is Change {
  return "objects" in found;
}

/** Finds the smallest change that flips all of `tried`; of `all` it is counted how many it flips. */
function findFor(tried: readonly AskedConnection[], all: readonly AskedConnection[], around: ChangeSurroundings): Change | NoChange {
  const trial = new Trial(tried, around, relevantPolicies(tried, around), worldOf(tried, around));
  const [judgement] = trial.judgements;
  const refusal = whyNone(tried[0], judgement, around);
  if (refusal !== undefined) return { reason: refusal, message: MESSAGES[refusal] };
  const wanted = judgement.verdict === "deny" ? "allow" : "deny";
  const found = wanted === "allow" ? open(trial) : close(trial);
  if (found === undefined) return noWords(trial);
  // What was tried on a few policies and pods must hold among all.
  const evaluator = new Evaluator(found.set(around.set), around.world, around.profile);
  const isFlipped = ({ ends, packet }: AskedConnection) => judgeEnds(evaluator, ends, packet).verdict === wanted;
  if (!tried.every(isFlipped)) return noWords(trial);
  return { verdict: wanted, objects: found.objects, flipped: all.filter(isFlipped).length };
}

/** Why nothing that was tried did it. */
function noWords({ judgements: [{ egress, ingress }], met }: Trial): NoChange {
  const isHalfOpen = [egress, ingress].some(({ verdict }) => verdict === "unknown");
  const reason = met.has("own-node") ? "always-allowed" : isHalfOpen ? "other-side-unknown" : "no-words";
  return { reason, message: MESSAGES[reason] };
}

function whyNone(
  { ends }: AskedConnection,
  { egress, ingress, verdict }: Judgement,
  { profile }: ChangeSurroundings,
): NoChangeReason | undefined {
  if (ends.targets.length !== 1) return "no-single-target";
  if (verdict === "unknown") return "verdict-unknown";
  if (profile.enforcement === "never") return "never-enforced";
  const sides = [egress, ingress];
  if (sides.some(({ reason }) => reason === "self")) return "always-allowed";
  if (verdict === "allow" && sides.every(({ reason }) => reason === "not-selectable")) return "not-selectable";
  const isDropped = ({ notes }: Decision) => notes.includes("dropped-by-plugin") || notes.includes("dropped-to-own-node");
  return verdict === "deny" && sides.some((side) => side.verdict === "deny" && isDropped(side)) ? "dropped-by-plugin" : undefined;
}

/** The policies that have a say on either end, or look as if they were meant to; with all specs of their objects. */
function relevantPolicies(connections: readonly AskedConnection[], { set, evaluator }: ChangeSurroundings): PolicySet {
  const policies = participantsOf(connections).flatMap((participant) =>
    (["ingress", "egress"] as const).flatMap((direction) => [
      ...evaluator.policiesOf(evaluator.classify(participant), direction).map(({ policy }) => policy),
      ...(participant.type === "pod" ? nearlySelecting(evaluator, participant.pod, direction).map(({ policy }) => policy) : []),
    ]),
  );
  const kept = new Set(policies.map(({ ref }) => identityOf(ref)));
  return { ...set, policies: set.policies.filter(({ ref }) => kept.has(identityOf(ref))) };
}

/** The world with the pods of the connections alone: rules ask no others. */
function worldOf(connections: readonly AskedConnection[], { world }: ChangeSurroundings): World {
  const pods = new Set(participantsOf(connections).flatMap((participant) => (participant.type === "pod" ? [participant.pod] : [])));
  // Pods on the host network can be selected with their nodes, by some plugins.
  return { ...world, pods: world.pods.filter((pod) => pods.has(pod) || pod.hostNetwork) };
}

function participantsOf(connections: readonly AskedConnection[]): Participant[] {
  return [...new Set(connections.flatMap(({ ends }) => [ends.source, ...ends.targets.map(({ participant }) => participant)]))];
}

/** A policy set with edits made, and what it says of the connection. Only what concerns its ends is judged: the rest cannot matter. */
class Trial {
  /** Of each connection. */
  readonly judgements: readonly [Judgement, ...Judgement[]];
  readonly edits: number;
  /** Reasons of decisions that were met on the way, of all trials that began with one. */
  readonly met: Set<string>;
  readonly #connections: readonly AskedConnection[];
  readonly #around: ChangeSurroundings;
  readonly #policies: PolicySet;
  readonly #world: World;
  readonly #evaluator: Evaluator;
  /** By object. */
  readonly #objects: ReadonlyMap<string, ChangedObject>;
  /** What became of policies of the whole set: those that are gone, and those that came for them. */
  readonly #replaced: ReadonlyMap<string, { readonly old: readonly Policy[]; readonly now: readonly Policy[] }>;

  constructor(
    connections: readonly AskedConnection[],
    around: ChangeSurroundings,
    policies: PolicySet,
    world: World,
    met: Set<string> = new Set(),
    edits = 0,
    objects: ReadonlyMap<string, ChangedObject> = new Map(),
    replaced: ReadonlyMap<string, { readonly old: readonly Policy[]; readonly now: readonly Policy[] }> = new Map(),
  ) {
    this.#connections = connections;
    this.#around = around;
    this.#policies = policies;
    this.#world = world;
    this.edits = edits;
    this.met = met;
    this.#objects = objects;
    this.#replaced = replaced;
    this.#evaluator = new Evaluator(policies, world, around.profile);
    const [first, ...rest] = connections.map(({ ends, packet }) => judgeEnds(this.#evaluator, ends, packet));
    this.judgements = [first, ...rest];
    for (const { egress, ingress } of this.judgements) met.add(egress.reason).add(ingress.reason);
  }

  get objects(): ChangedObject[] {
    return [...this.#objects.values()];
  }

  /** Returns a whole policy set with the edits made. */
  set(whole: PolicySet): PolicySet {
    let policies = [...whole.policies];
    for (const { old, now } of this.#replaced.values()) {
      const at = old.length === 0 ? -1 : policies.indexOf(old[0]);
      policies = policies.filter((policy) => !old.includes(policy));
      policies.splice(at < 0 ? policies.length : at, 0, ...now);
    }
    return { ...whole, policies };
  }

  /** Returns the place of the first connection of which a side does not say what is wanted; 0 where all of them do. */
  nextFor(direction: Direction, wanted: "allow" | "deny"): number {
    return Math.max(
      this.judgements.findIndex((judgement) => judgement[direction].verdict !== wanted),
      0,
    );
  }

  /** Returns one side of the connection at a place. */
  side(direction: Direction, place: number): AskedSide {
    const connections = this.#connections;
    const { ends, packet, isWholeOutside = false } = connections[place];
    const [target] = ends.targets;
    const source = direction === "ingress" && ends.arrivesFrom !== undefined ? ends.arrivesFrom[ends.arrivesFrom.length - 1] : ends.source;
    const destination = target.participant;
    return {
      around: this.#around,
      set: this.#policies,
      evaluator: this.#evaluator,
      direction,
      decision: this.judgements[place][direction],
      subject: direction === "egress" ? source : destination,
      peer: direction === "egress" ? destination : source,
      destination,
      protocol: packet.protocol,
      port: target.port,
      sourcePort: packet.sourcePort,
      ports: connections.some(({ isAnyPort }) => isAnyPort) ? undefined : portsOf(connections),
      isWholeOutside,
    };
  }

  /** Reports whether a side says the same of all connections. */
  says(direction: Direction, wanted: "allow" | "deny"): boolean {
    return this.judgements.every((judgement) => judgement[direction].verdict === wanted);
  }

  /** Returns the trial with one more edit; undefined where no dialect says it. */
  with(edit: PolicyEdit): Trial | undefined {
    const edited = applyEdit(this.#policies, edit);
    if (edited === undefined) return undefined;
    const { ref } = edit.before ?? edit.after;
    const key = identityOf(ref);
    const known = this.#objects.get(key);
    const object: ChangedObject = {
      ref: known?.ref ?? ref,
      isNew: known?.isNew ?? edit.before === undefined,
      what: [...(known?.what ?? []), edit.what],
      before: known === undefined ? edited.object.before : known.before,
      after: edited.object.after,
      notes: [...new Set([...(known?.notes ?? []), ...edit.notes])],
    };
    const gone = this.#policies.policies.filter((policy) => !edited.set.policies.includes(policy));
    const old = this.#replaced.get(key)?.old ?? gone;
    return new Trial(
      this.#connections,
      this.#around,
      edited.set,
      this.#world,
      this.met,
      this.edits + 1,
      new Map(this.#objects).set(key, object),
      new Map(this.#replaced).set(key, { old, now: edited.policies }),
    );
  }
}

function portsOf(connections: readonly AskedConnection[]): AskedPort[] {
  const ports = connections.map(({ ends, packet }): AskedPort => ({ protocol: packet.protocol, port: ends.targets[0].port }));
  return [...new Map(ports.map((each) => [`${each.protocol}/${each.port}`, each])).values()];
}

/** Opens each side that denies. */
function open(trial: Trial): Trial | undefined {
  let now = trial;
  for (const direction of ["egress", "ingress"] as const) {
    if (!now.judgements.some((judgement) => judgement[direction].verdict === "deny")) continue;
    const opened = search(now, direction, "allow", openings, 2);
    if (opened === undefined) return undefined;
    now = opened;
  }
  return now.judgements.every(({ verdict }) => verdict === "allow") ? now : undefined;
}

/** Closes one side: that which takes fewer edits, where both do the destination's. */
function close(trial: Trial): Trial | undefined {
  const closed = (["ingress", "egress"] as const).flatMap((direction) => {
    const { reason } = trial.judgements[0][direction];
    if (reason === "not-selectable" || reason === "self") return [];
    return search(trial, direction, "deny", closings, MOST_EDITS) ?? [];
  });
  const newObjects = (one: Trial) => one.objects.filter(({ isNew }) => isNew).length;
  return closed.sort((a, b) => newObjects(a) - newObjects(b) || a.edits - b.edits).at(0);
}

/**
 * Follows edits until a side says what is wanted. The first candidate that does it alone is taken; else the first few that change what
 * decides are followed, each on its own.
 */
function search(
  trial: Trial,
  direction: Direction,
  wanted: "allow" | "deny",
  candidatesOf: (side: AskedSide) => Candidate[],
  depth: number,
): Trial | undefined {
  const place = trial.nextFor(direction, wanted);
  const before = trial.judgements[place][direction];
  const partial: Trial[] = [];
  for (const { edit } of candidatesOf(trial.side(direction, place))) {
    const next = trial.with(edit);
    if (next === undefined) continue;
    if (next.says(direction, wanted)) return next;
    if (partial.length < FOLLOWED && isOther(before, next.judgements[place][direction])) partial.push(next);
  }
  if (depth <= 1) return undefined;
  // One that came further is enough where rules go one by one; to open, other ways are tried too.
  for (const next of wanted === "deny" ? partial.slice(0, 1) : partial) {
    const found = search(next, direction, wanted, candidatesOf, depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Reports whether another rule or policy decides now. Policies were read anew, so that they are told apart by their names. */
function isOther(before: Decision, now: Decision): boolean {
  const text = ({ reason, matched, verdict }: Decision) =>
    JSON.stringify([verdict, reason, matched.map(({ policy, rule }) => [identityOf(policy.ref), rule.path])]);
  return text(before) !== text(now);
}
