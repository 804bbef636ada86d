import {
  ArpConversation,
  type Conversation,
  DatagramConversation,
  DnsConversation,
  type Filler,
  type Heads,
  type Lanes,
  TcpConversation,
  type TcpPlan,
} from "./conversations.ts";
import { httpAnswer, httpGreeting, tlsGreeting } from "./greetings.ts";
import { type End, icmp, icmpv6, makeArpLane, makeLane, tcp, udp, type Wrapping } from "./lanes.ts";
import type { Random } from "./random.ts";
import { dnsRoute, makeLookups, type Party, pingRoutes, type Route, routePicker, tcpRoutes, udpRoutes } from "./traffic.ts";
import { nodeAddresses, v4Text } from "./world.ts";

/** What a capture is made of. */
export interface Shape {
  readonly packets: number;
  readonly seed: number;
  /** Mean time between packets. */
  readonly gapMicros: number;
  /** Each kind's part of the packets (the sum is 1), and how many conversations of it go on at once. */
  readonly kinds: Readonly<Record<Kind, { readonly share: number; readonly active: number }>>;
  /** Every frame stays within this many bytes, the VLAN tag included. */
  readonly frameLimit: number;
  /** Chances that a conversation uses IPv6, a VLAN, a VXLAN tunnel, where its ends allow it. */
  readonly ipv6: number;
  readonly vlan: number;
  readonly vxlan: number;
  /** How often client and server take turns, and the least and most bytes of a request and of an answer. */
  readonly tcp: { readonly exchanges: number; readonly request: Range; readonly answer: Range };
}

type Range = readonly [least: number, most: number];
export type Kind = "tcp" | "dns" | "udp" | "other";

const nothing = new Uint8Array(0);
const noHeads: Heads = [nothing, nothing];
const statsdHeads: Heads = [Buffer.from("api.requests:1|c\n"), nothing];
const ntpHeads: Heads = [Uint8Array.of(0x23, 0, 6, 0xec), Uint8Array.of(0x24, 2, 6, 0xec)];

interface Chosen {
  readonly lanes: Lanes;
  readonly headerBytes: number;
  readonly version: 4 | 6;
  readonly server: Party;
}

/** Begins one conversation after another, as `shape` says. */
export class Mix {
  readonly #shape: Shape;
  readonly #random: Random;
  readonly #filler: Filler;
  readonly #pick = { tcp: routePicker(tcpRoutes), udp: routePicker(udpRoutes), ping: routePicker(pingRoutes) };
  readonly #lookups;

  constructor(shape: Shape, random: Random) {
    this.#shape = shape;
    this.#random = random;
    const bytes = new Uint8Array(1 << 20);
    for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
    this.#filler = { bytes, random };
    const room = shape.frameLimit - 66; // tag, Ethernet, IPv6 and UDP headers
    this.#lookups = makeLookups().filter((pair) => pair.every(({ answer }) => answer.length <= room));
  }

  /** `early`: when the capture begins, so that some connections are older than it. */
  begin(kind: Kind, early: boolean): Conversation {
    const random = this.#random;
    switch (kind) {
      case "tcp":
        return this.#beginTcp(this.#pick.tcp(random), early);
      case "dns": {
        const { lanes } = this.#choose(dnsRoute, udp);
        return new DnsConversation(lanes, random.pick(this.#lookups), random.below(65536));
      }
      case "udp": {
        const route = this.#pick.udp(random);
        const chosen = this.#choose(route, udp);
        if (route.port === 123) return new DatagramConversation(chosen.lanes, [48, -48], this.#filler, ntpHeads);
        const answers = random.chance(0.4);
        const most = Math.min(1252, this.#shape.frameLimit - chosen.headerBytes);
        const plan = Array.from(
          { length: random.between(4, 60) },
          (_, i) => (answers && (i & 1) === 1 ? -1 : 1) * random.between(18, most),
        );
        return new DatagramConversation(chosen.lanes, plan, this.#filler, route.port === 8125 ? statsdHeads : noHeads);
      }
      case "other": {
        if (random.chance(0.3)) return this.#beginArp();
        const { lanes, version } = this.#choose(this.#pick.ping(random), icmp);
        const bytes = Math.min(56, this.#shape.frameLimit - 66);
        const plan = Array.from({ length: random.between(1, 10) * 2 }, (_, i) => ((i & 1) === 0 ? bytes : -bytes));
        return new DatagramConversation(lanes, plan, this.#filler, noHeads, version === 4 ? [8, 0] : [128, 129]);
      }
    }
  }

  #beginTcp(route: Route, early: boolean): Conversation {
    const random = this.#random;
    const { exchanges, request, answer } = this.#shape.tcp;
    const { lanes, headerBytes, server } = this.#choose(route, tcp);
    const segmentBytes = Math.min(this.#shape.frameLimit - headerBytes - 12, 1448);
    const turns = Array.from({ length: 2 * random.between(1, exchanges) }, (_, i) => {
      const fromClient = (i & 1) === 0;
      const bytes = random.heavyTail(...(fromClient ? request : answer));
      const head = fromClient
        ? this.#greeting(route, server, i === 0)
        : route.speaks === "http" && bytes > 120
          ? httpAnswer(bytes)
          : nothing;
      return { bytes: fromClient && head.length > 0 ? head.length : bytes, head };
    });
    const fate = random.float();
    const opening =
      early && fate < 0.3 ? "joined" : fate < 0.32 ? "normal" : fate < 0.335 ? "dropped" : fate < 0.345 ? "refused" : "normal";
    const plan: TcpPlan = { opening, segmentBytes, turns, aborts: random.chance(0.03) };
    return new TcpConversation(lanes, plan, this.#filler);
  }

  /** Every HTTP request and the first TLS message are real; the rest has no meaning. */
  #greeting(route: Route, server: Party, first: boolean): Uint8Array {
    const host = "name" in server ? String(server.name) : v4Text(server.v4);
    if (route.speaks === "http") return httpGreeting(host, this.#random.below(100_000));
    return route.speaks === "tls" && first ? tlsGreeting(host) : nothing;
  }

  #beginArp(): Conversation {
    const from = dnsRoute.clients(this.#random);
    const to = this.#random.pick(dnsRoute.servers);
    return new ArpConversation([makeArpLane(from, to, false), makeArpLane(to, from, true)]);
  }

  /** Picks both ends of `route` and how their frames look. `protocol` ICMP stands for ICMPv6 too. */
  #choose(route: Route, protocol: number): Chosen {
    const random = this.#random;
    const client = route.clients(random);
    const server = random.pick(route.servers);
    const version = client.v6 !== undefined && server.v6 !== undefined && random.chance(this.#shape.ipv6) ? 6 : 4;
    const throughService = route.service !== undefined && random.chance(0.1);
    const from: End = { ...client, port: protocol === icmp ? 0 : random.between(32_768, 60_999) };
    const to: End = throughService ? route.service! : { ...server, port: route.port };
    const crossesNodes = client.node >= 0 && server.node >= 0 && client.node !== server.node;
    const base = { version, ...(random.chance(this.#shape.vlan) ? { vlan: 100 + random.below(4) } : {}) } as const;
    const inTunnel = crossesNodes && !throughService && random.chance(this.#shape.vxlan);
    const there: Wrapping = inTunnel ? { version, tunnel: this.#tunnel(client, server) } : base;
    const back: Wrapping = inTunnel ? { version, tunnel: this.#tunnel(server, client) } : base;
    const actual = protocol === icmp && version === 6 ? icmpv6 : protocol;
    const lanes: Lanes = [makeLane(from, to, actual, there), makeLane(to, from, actual, back)];
    return { lanes, headerBytes: lanes[0].headers.length, version, server };
  }

  #tunnel(from: Party, to: Party): NonNullable<Wrapping["tunnel"]> {
    return { from: nodeAddresses(from.node).v4, to: nodeAddresses(to.node).v4, sourcePort: this.#random.between(49_152, 65_535) };
  }
}
