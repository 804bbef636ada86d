import { TCP, UDP } from "../../src/net/protocol.ts";
import type { Conversation, Ending, Exchange } from "../../src/synth/conversation.ts";
import { address, START } from "./conversations.ts";

/* One conversation of every kind of exchange, protocol, ending and family, with sizes below and above what a packet holds. */

export const HTTP2_PORT = 9002;
export const BYTES_PORT = 9090;

const ENDINGS: readonly Ending[] = ["finished", "reset", "open", "refused", "unanswered"];
const SOME = { request: 700, response: 20_000 };
/** More than a first window of HTTP/2 and a flight of segments. */
const MANY = { request: 70_000, response: 90_000 };
const NONE = { request: 0, response: 0 };

const web = (kind: "http" | "http2", method: string, path: string, sizes: typeof SOME, status = 200): Exchange => {
  return { kind, method, path, host: "orders.shop.svc.cluster.local", status, ...sizes };
};

const ask = (type: "A" | "AAAA", name: string, answers: readonly string[], missing = false): Exchange => {
  return { kind: "dns", name, type, answers: answers.map(address), missing };
};

/** Protocol, port and exchanges of what is asked over both families. */
const ASKED: readonly [protocol: number, port: number, exchanges: readonly Exchange[]][] = [
  [
    TCP,
    BYTES_PORT,
    [
      { kind: "bytes", ...SOME },
      { kind: "bytes", ...NONE },
      { kind: "bytes", ...MANY },
      { kind: "bytes", request: 1, response: 0 },
    ],
  ],
  [
    TCP,
    80,
    [
      web("http", "GET", "/orders/17?expand=lines", { request: 0, response: 40_000 }),
      web("http", "POST", "/orders", MANY, 201),
      web("http", "HEAD", "/health", { request: 0, response: 5 }),
      web("http", "PUT", "/empty", NONE, 204),
      web("http", "GET", "/missing", NONE, 404),
    ],
  ],
  [
    TCP,
    HTTP2_PORT,
    [
      web("http2", "GET", `/${"long/".repeat(60)}`, { request: 0, response: 100_000 }),
      web("http2", "POST", "/shop.Orders/Place", MANY),
      web("http2", "GET", "/nothing", NONE, 304),
      web("http2", "HEAD", "/head", SOME),
    ],
  ],
  [
    TCP,
    443,
    [
      { kind: "tls", serverName: "api.example.com", ...SOME },
      { kind: "tls", serverName: "api.example.com", ...MANY },
    ],
  ],
  [TCP, 443, [{ kind: "tls", serverName: "", ...NONE }]],
  [TCP, 53, [ask("A", "tcp.example.com", ["192.0.2.1"]), ask("AAAA", "tcp.example.com", [])]],
  [
    UDP,
    53,
    [
      ask("A", "api.example.com", ["192.0.2.1", "192.0.2.2"]),
      ask("AAAA", "api.example.com", ["2001:db8::1"]),
      ask("A", "gone.example.com", [], true),
      ask("AAAA", "four.example.com", []),
      ask(
        "A",
        "many.example.com",
        Array.from({ length: 60 }, (_, i) => `192.0.2.${i + 1}`),
      ),
    ],
  ],
  [
    UDP,
    BYTES_PORT,
    [
      { kind: "bytes", request: 5000, response: 9000 },
      { kind: "bytes", request: 1, response: 0 },
    ],
  ],
  [UDP, BYTES_PORT, []],
];

/** Returns the conversations, in order of start and overlapping. */
export function everyKind(): Conversation[] {
  const found: Conversation[] = [];
  for (const isFour of [true, false]) {
    for (const ending of ENDINGS) {
      for (const [protocol, serverPort, exchanges] of ASKED) {
        const number = found.length + 1;
        found.push({
          start: START + number * 20_000,
          client: address(isFour ? `10.0.0.${number}` : `fd00::${number.toString(16)}`),
          clientPort: 40_000 + number,
          server: address(isFour ? "10.1.0.1" : "fd01::1"),
          serverPort,
          protocol,
          roundTrip: 250 + number,
          exchanges,
          pause: 3000,
          ending,
          entropy: Math.imul(number, 0x9e3779b1) >>> 0,
        });
      }
    }
  }
  return found;
}
