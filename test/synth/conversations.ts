import fc from "fast-check";
import { type Address, parseAddress } from "../../src/net/address.ts";
import { TCP, UDP } from "../../src/net/protocol.ts";
import { CaptureWriter } from "../../src/synth/captureWriter.ts";
import type { Conversation, Ending, Exchange } from "../../src/synth/conversation.ts";

/* Random conversations of every kind, protocol, family and ending, and what their capture holds. */

export const START = 1_790_000_000_000_000;

export const address = (text: string): Address => parseAddress(text)!;

/** Sizes around the borders of segments, flights, datagrams, DATA frames and records. */
const EDGES = [0, 1, 2, 1399, 1400, 1401, 1440, 1441, 1460, 1461, 2920, 2921, 16_383, 16_384, 16_385, 32 * 1440, 32 * 1460, 32 * 1460 + 1];
const size = fc.oneof({ arbitrary: fc.constantFrom(...EDGES), weight: 3 }, fc.nat(300), fc.nat(150_000));

const hostile = fc.oneof(
  fc.constantFrom(
    "",
    "\r\nSet-Cookie: x",
    "a b",
    "\u0000",
    "\u20ac",
    ".".repeat(300),
    "a".repeat(9000),
    "a..b.",
    `${"b".repeat(70)}.example`,
  ),
  fc.string({ unit: "binary", maxLength: 300 }),
);
const label = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
const plainName = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
const name = fc.oneof({ arbitrary: plainName, weight: 4 }, hostile);
const path = fc.oneof({ arbitrary: fc.webPath().map((text) => `/${text}`), weight: 4 }, hostile);

const ipv4 = fc.integer({ min: 1, max: 254 }).map((last) => address(`192.0.2.${last}`));
const ipv6 = fc.integer({ min: 1, max: 0xffff }).map((last) => address(`2001:db8::${last.toString(16)}`));

const bytes: fc.Arbitrary<Exchange> = fc.record({ kind: fc.constant("bytes"), request: size, response: size });
const http: fc.Arbitrary<Exchange> = fc.record({
  kind: fc.constantFrom("http", "http2"),
  method: fc.constantFrom("GET", "POST", "HEAD", "DELETE", "PUT"),
  path,
  host: name,
  request: size,
  status: fc.constantFrom(200, 201, 204, 301, 304, 404, 500, 503, 599),
  response: size,
});
const tls: fc.Arbitrary<Exchange> = fc.record({ kind: fc.constant("tls"), serverName: name, request: size, response: size });
const dns: fc.Arbitrary<Exchange> = fc.record({
  kind: fc.constant("dns"),
  name,
  type: fc.constantFrom("A", "AAAA"),
  answers: fc.array(fc.oneof(ipv4, ipv6), { maxLength: 60 }),
  missing: fc.boolean(),
});

const ending: fc.Arbitrary<Ending> = fc.constantFrom("finished", "reset", "open", "refused", "unanswered");
const micros = fc.oneof(fc.constantFrom(0, 1, 2, 200), fc.nat(100_000));

interface Shape extends Omit<Conversation, "start" | "client" | "server" | "serverPort"> {
  readonly isFour: boolean;
  readonly wait: number;
}

const shape: fc.Arbitrary<Shape> = fc.record({
  isFour: fc.boolean(),
  wait: fc.oneof(fc.constantFrom(0, 1), fc.nat(5_000_000)),
  clientPort: fc.integer({ min: 32_768, max: 60_999 }),
  protocol: fc.constantFrom(TCP, UDP),
  roundTrip: micros,
  exchanges: fc.array(fc.oneof(bytes, http, tls, dns), { maxLength: 4 }),
  pause: micros,
  ending,
  entropy: fc.integer({ min: 0, max: 0xffffffff }),
});

/** Conversations in order of start, each with a client of its own, so that each is one connection of a report. */
export const conversations: fc.Arbitrary<Conversation[]> = fc.array(shape, { minLength: 1, maxLength: 8 }).map((shapes) => {
  let start = START;
  return shapes.map(({ isFour, wait, ...shape }, i): Conversation => {
    start += wait;
    const [client, server] = isFour ? [`10.0.0.${i + 1}`, "10.1.0.1"] : [`fd00::${i + 1}`, "fd01::1"];
    return { ...shape, start, client: address(client), server: address(server), serverPort: 9000 };
  });
});

/** Returns the capture of conversations, and how many packets its writer says it holds. */
export function capture(given: readonly Conversation[]): { bytes: Uint8Array; packets: number; chunks: number[] } {
  const chunks: Uint8Array[] = [];
  const writer = new CaptureWriter((chunk) => chunks.push(chunk.slice()));
  for (const conversation of given) writer.add(conversation);
  writer.finish();
  return { bytes: new Uint8Array(Buffer.concat(chunks)), packets: writer.packets, chunks: chunks.map((chunk) => chunk.length) };
}
