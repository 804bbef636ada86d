import { type Namespace, namespaceIn } from "../cluster/objects.ts";
import type { Truth } from "../cluster/selector.ts";
import type { Address } from "../net/address.ts";
import { type Prefix, parsePrefix, wholeAddress } from "../net/prefix.ts";
import type { AddressSet, NamePattern, Peer, PeerTerm, SetMatch } from "../policy/model.ts";
import { compileRegex } from "../policy/regex.ts";
import type { AddressClasses, Block } from "./addressClasses.ts";
import { podMatchTruth } from "./expression.ts";
import type { Identities } from "./identities.ts";
import type { NamesOfAddresses } from "./nameMatch.ts";
import type { CniProfile } from "./profile.ts";
import type { ServiceBackends } from "./serviceBackends.ts";
import { everyTruth, negate, someTruth } from "./truth.ts";

/** What stands on the other side of a rule, or is a subject: an identity with an address of some class. */
export interface Party {
  readonly identity: number;
  /** Class of its address; -1 where even the address is not known (an unknown backend of a Service). */
  readonly addressClass: number;
}

/** A condition on a party, with selectors and addresses replaced by numbers. */
export type Term =
  | { readonly op: "selection" | "block"; readonly number: number }
  | { readonly op: "all" | "some"; readonly terms: readonly Term[] }
  | { readonly op: "not"; readonly term: Term }
  | { readonly op: "unknown" };

/** Nothing satisfies it. */
export const NOTHING: Term = { op: "some", terms: [] };

/** Returns whether a party satisfies a term (Kleene's three-valued logic). */
export function termTruth(term: Term, identities: Identities, addresses: AddressClasses, party: Party): Truth {
  switch (term.op) {
    case "selection":
      return identities.truthOf(term.number, party.identity);
    case "block":
      return party.addressClass < 0 ? "unknown" : addresses.contains(term.number, party.addressClass);
    case "unknown":
      return "unknown";
    case "not":
      return negate(termTruth(term.term, identities, addresses, party));
    case "all":
      return everyTruth(term.terms, (each) => termTruth(each, identities, addresses, party));
    case "some":
      return someTruth(term.terms, (each) => termTruth(each, identities, addresses, party));
  }
}

/** Calls back for every selection and block of a term. */
export function forEachAtom(term: Term, each: (op: "selection" | "block", number: number) => void): void {
  switch (term.op) {
    case "selection":
    case "block":
      return each(term.op, term.number);
    case "not":
      return forEachAtom(term.term, each);
    case "all":
    case "some":
      for (const inner of term.terms) forEachAtom(inner, each);
  }
}

/** Gives equal blocks one number. */
export class Blocks {
  readonly list: Block[] = [];
  readonly #numbers = new Map<string, number>();

  intern(block: Block): number {
    const text = ({ first, length, family }: Prefix) => `${first}/${length}/${family}`;
    const key = `${block.prefixes.map(text).sort().join()}-${block.except.map(text).sort().join()}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.list.push(block) - 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
}

const FAMILY = { 4: parsePrefix("0.0.0.0/0")!, 6: parsePrefix("::/0")! };

/** What terms are compiled against. */
export interface TermContext {
  readonly identities: Identities;
  readonly profile: CniProfile;
  readonly sets: readonly AddressSet[];
  readonly names: NamesOfAddresses;
  readonly services: ServiceBackends;
  readonly namespaces: ReadonlyMap<string, Namespace>;
}

/** Turns the peers of rules into terms. */
export class TermCompiler {
  readonly blocks = new Blocks();
  readonly #context: TermContext;
  readonly #everyAddress: boolean;
  /** Perhaps, for outside addresses whose names are not known. */
  #nameless: Term | undefined;

  constructor(context: TermContext) {
    this.#context = context;
    this.#everyAddress = context.profile.blocksMatchPods && context.profile.blocksMatchNodes;
  }

  /** `hostPods`: selectors of pods also select those on the host network, by their node's address. */
  compile(peer: PeerTerm | Peer, hostPods = false): Term {
    const { identities, names, services } = this.#context;
    switch (peer.kind) {
      case "pods":
        return { op: "selection", number: identities.intern(peer.match, hostPods) };
      case "nodes":
        return { op: "selection", number: identities.internNodes(peer.selector) };
      case "prefix":
        return this.#addressed([peer.prefix], peer.except);
      case "family":
        return this.#block([FAMILY[peer.family]]);
      case "sets":
        return this.#compileSets(peer.match, peer.except);
      case "entities":
        return { op: "some", terms: peer.entities.map((entity) => this.#compileEntity(entity)) };
      case "names": {
        if (identities.hasOutsideNames) return this.#outsideNamed(peer.patterns);
        const { matching, named } = names.addressesOf(peer.patterns);
        // Of an address that no answer named nobody can say what its name was.
        this.#nameless ??= {
          op: "all",
          terms: [{ op: "unknown" }, this.#outside(), { op: "not", term: this.#block(named.map(wholeAddress)) }],
        };
        // Names are for the outside: what DNS answers for the cluster's own addresses is known by their objects.
        const matched: Term = { op: "all", terms: [this.#block(matching.map(wholeAddress)), this.#outside()] };
        return { op: "some", terms: [matched, this.#nameless] };
      }
      case "services": {
        // Calico looks at the addresses of endpoints, Cilium at the Service's own selector where it has one.
        const byAddress = this.#context.profile.name === "calico";
        const { selections, addresses } = byAddress
          ? { selections: [], addresses: services.endpoints(peer.match).map(({ address }) => address) }
          : services.find(peer.match);
        const terms: Term[] = selections.map((match) => ({ op: "selection", number: identities.intern(match, hostPods) }));
        if (addresses.length > 0) terms.push(this.compileAddresses(addresses));
        return { op: "some", terms };
      }
      case "all":
      case "some":
        return { op: peer.kind, terms: peer.terms.map((term) => this.compile(term, hostPods)) };
      case "not":
        return { op: "not", term: this.compile(peer.term, hostPods) };
    }
  }

  /** Single addresses, as prefixes of them would be. */
  compileAddresses(addresses: readonly Address[]): Term {
    return this.#addressed(addresses.map(wholeAddress), []);
  }

  #block(prefixes: readonly Prefix[], except: readonly Prefix[] = []): Term {
    return { op: "block", number: this.blocks.intern({ prefixes, except }) };
  }

  /** Addresses, of those whose addresses prefixes match under this plugin. */
  #addressed(prefixes: readonly Prefix[], except: readonly Prefix[]): Term {
    const block = this.#block(prefixes, except);
    if (this.#everyAddress) return block;
    const { blocksMatchPods, blocksMatchNodes } = this.#context.profile;
    return {
      op: "all",
      terms: [block, { op: "selection", number: this.#context.identities.internAddressed(blocksMatchPods, blocksMatchNodes) }],
    };
  }

  #outside(): Term {
    return { op: "selection", number: this.#context.identities.internAddressed(false, false) };
  }

  #outsideNamed(patterns: readonly NamePattern[]): Term {
    const tests = patterns.map(({ regex }) => compileRegex(regex));
    const key = patterns.map(({ regex }) => regex).join(" ");
    return { op: "selection", number: this.#context.identities.internOutsideNames(key, (name) => tests.some((test) => test(name))) };
  }

  #compileEntity(entity: Parameters<Identities["internEntity"]>[0]): Term {
    const selection: Term = { op: "selection", number: this.#context.identities.internEntity(entity) };
    if (entity !== "world-ipv4" && entity !== "world-ipv6") return selection;
    return { op: "all", terms: [selection, this.#block([FAMILY[entity === "world-ipv4" ? 4 : 6]])] };
  }

  #compileSets(match: SetMatch, except: readonly Prefix[]): Term {
    const certain: Prefix[] = [];
    const possible: Prefix[] = [];
    for (const set of this.#context.sets) {
      const truth = this.#holds(match, set);
      if (truth !== false) (truth === true ? certain : possible).push(...set.prefixes);
    }
    const term = this.#addressed(certain, except);
    if (possible.length === 0) return term;
    return { op: "some", terms: [term, { op: "all", terms: [{ op: "unknown" }, this.#addressed(possible, except)] }] };
  }

  #holds(match: SetMatch, set: AddressSet): Truth {
    if ("names" in match) return match.names.includes(set.ref.name);
    const { namespace } = set.ref;
    if (match.scope === (namespace === undefined ? "namespaced" : "global")) return false;
    const own = namespace === undefined ? {} : { namespace: namespaceIn(this.#context.namespaces, namespace) };
    return podMatchTruth(match.match, { labels: set.labels, ...own });
  }
}

/** Reports whether a prefix of a peer holds a party's address though the plugin's prefixes do not match such parties. */
export function coversInVain(term: Term, identities: Identities, addresses: AddressClasses, party: Party): boolean {
  if (party.addressClass < 0 || identities.isOutside(party.identity)) return false;
  if (term.op === "block") return addresses.contains(term.number, party.addressClass);
  if (term.op === "all" || term.op === "some") return term.terms.some((inner) => coversInVain(inner, identities, addresses, party));
  return false;
}
