import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatAddress } from "../../src/net/address.ts";
import { TCP, UDP } from "../../src/net/protocol.ts";
import { CaptureWriter } from "../../src/synth/captureWriter.ts";
import type { Conversation } from "../../src/synth/conversation.ts";
import { measure } from "../../src/synth/measure.ts";
import { replay } from "../capture/replay.ts";
import { valuesOf } from "../flow/madeConnections.ts";
import { address, capture, conversations, START } from "./conversations.ts";
import { packetsOf, type Seen, streamOf } from "./frames.ts";

const PLAIN: Conversation = {
  start: START,
  client: address("10.0.0.1"),
  clientPort: 40_000,
  server: address("10.1.0.1"),
  serverPort: 8080,
  protocol: TCP,
  roundTrip: 300,
  exchanges: [],
  pause: 1000,
  ending: "finished",
  entropy: 7,
};

/** How the reader must say that a conversation ended. A datagram without an answer says nothing (ARCHITECTURE.md). */
function outcomeOf({ protocol, ending, exchanges }: Conversation): string {
  if (ending === "refused") return "refused";
  if (protocol === TCP) return ending === "unanswered" ? "unanswered" : "established";
  const isAnswered = ending !== "unanswered" && exchanges.some((each) => each.kind === "dns" || each.response > 0);
  return isAnswered ? "established" : "unknown";
}

/** What a report says of the connection of a conversation. */
function expectedOf(conversation: Conversation): string {
  const { packets, bytes, end } = measure(conversation);
  const ends = `${formatAddress(conversation.client)} > ${formatAddress(conversation.server)}:${conversation.serverPort}`;
  return `${conversation.protocol} ${ends} ${packets}p ${bytes}b ${conversation.start} to ${end} ${outcomeOf(conversation)}`;
}

async function readBack(
  bytes: Uint8Array,
): Promise<{ lines: string[]; warnings: readonly string[]; skipped: Readonly<Record<string, number>> }> {
  const { table, connections, warnings, skipped, decoder } = await replay([bytes]);
  expect(decoder.copies).toBe(0);
  const at = (id: number) => formatAddress(table.addresses.addressOf(id));
  const outcomes = ["established", "refused", "unanswered", "dropped", "unknown"];
  const lines = Array.from({ length: connections.size }, (_, i) => {
    expect(connections.count(i)).toBe(1);
    const first = connections.firstSeconds(i) * 1e6 + connections.firstNanoseconds(i) / 1000;
    const last = connections.lastSeconds(i) * 1e6 + connections.lastNanoseconds(i) / 1000;
    const ends = `${at(connections.source(i))} > ${at(connections.destination(i))}:${connections.port(i)}`;
    const outcome = outcomes[connections.attempts(i).indexOf(1)];
    return `${connections.protocol(i)} ${ends} ${connections.packets(i)}p ${connections.bytes(i)}b ${first} to ${last} ${outcome}`;
  });
  return { lines, warnings, skipped };
}

describe("a capture of conversations", () => {
  test("law: the reader counts what measure says, connection by connection", async () => {
    await fc.assert(
      fc.asyncProperty(conversations, async (given) => {
        const { lines, warnings, skipped } = await readBack(capture(given).bytes);
        expect(lines.sort()).toEqual(given.map(expectedOf).sort());
        expect(warnings).toEqual([]);
        const refusals = given.filter(({ protocol, ending }) => protocol === UDP && ending === "refused").length;
        expect(Object.values(skipped)).toEqual(refusals === 0 ? [] : [refusals]);
      }),
      { numRuns: 250 },
    );
  });

  test("law: times never go back, checksums are right, and both sides of a connection fit each other", () => {
    fc.assert(
      fc.property(conversations, (given) => {
        const { bytes, packets } = capture(given);
        const seen = packetsOf(bytes); // checks lengths and checksums
        expect(seen.length).toBe(packets);
        for (let i = 1; i < seen.length; i++) expect(seen[i].micros).toBeGreaterThanOrEqual(seen[i - 1].micros);
        for (const conversation of given) if (conversation.protocol === TCP) expectConversing(seen, conversation);
      }),
      { numRuns: 120 },
    );
  });

  test("law: the same conversations give the same bytes", () => {
    fc.assert(
      fc.property(conversations, (given) => {
        expect(Buffer.from(capture(given).bytes).equals(capture(given).bytes)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("two connections of one 5-tuple are two", async () => {
    const again = { ...PLAIN, start: START + 5_000_000, entropy: 8 };
    const { connections } = await replay([capture([PLAIN, again]).bytes]);
    expect(valuesOf(connections, "count")).toEqual([2]);
  });

  test("chunks are of about 1 MB, whatever the packets", () => {
    const large: Conversation = { ...PLAIN, exchanges: [{ kind: "bytes", request: 0, response: 5_000_000 }] };
    const { chunks, bytes } = capture([large]);
    expect(chunks.length).toBe(Math.ceil(bytes.length / (1 << 20)));
    for (const length of chunks.slice(0, -1)) expect(length >= 1 << 20 && length < (1 << 20) + 2048).toBe(true);
  });

  test("of packets at one moment those of the conversation added first come first", () => {
    const many = Array.from({ length: 50 }, (_, i): Conversation => ({ ...PLAIN, client: address(`10.0.0.${i}`), ending: "unanswered" }));
    const seen = packetsOf(capture(many).bytes).map(({ source }) => source);
    const once = many.map(({ client }) => formatAddress(client));
    expect(seen).toEqual([...once, ...once, ...once, ...once]);
  });

  test("a checksum of UDP that comes out as zero is sent as ones (RFC 768)", () => {
    const checksumFrom = (clientPort: number) => packetsOf(capture([{ ...PLAIN, protocol: UDP, clientPort }]).bytes)[0].checksum!;
    // A port that is greater by the checksum takes the sum to ones, and the checksum to zero.
    expect(checksumFrom(1 + checksumFrom(1))).toBe(0xffff);
  });

  test("packets are written as soon as no earlier one can come", () => {
    const writer = new CaptureWriter(() => {});
    const first: Conversation = { ...PLAIN, exchanges: [{ kind: "bytes", request: 5000, response: 50_000 }] };
    const { packets, end } = measure(first);
    writer.add(first);
    writer.add({ ...PLAIN, start: end - 1, client: address("10.0.0.2") });
    expect(writer.packets).toBe(packets - 1);
    writer.add({ ...PLAIN, start: end, client: address("10.0.0.3") });
    expect(writer.packets).toBe(packets + 1);
  });

  test("a conversation that starts before the one added last is a fault of the caller", () => {
    const writer = new CaptureWriter(() => {});
    writer.add(PLAIN);
    expect(() => writer.add({ ...PLAIN, start: START - 1 })).toThrow(/comes after/);
  });

  test("without any conversation there is a capture without packets", async () => {
    const { inputs } = await replay([capture([]).bytes]);
    expect(inputs[0]).toMatchObject({ format: "pcapng", packets: 0, warnings: [] });
  });

  test("an unanswered connection is tried after 0, 1, 3 and 7 s", () => {
    const times = packetsOf(capture([{ ...PLAIN, ending: "unanswered" }]).bytes).map(({ micros }) => (micros - START) / 1e6);
    expect(times).toEqual([0, 1, 3, 7]);
  });
});

/** Sequence numbers go on without holes, what is acknowledged was sent, and nobody overruns the other's window. */
function expectConversing(seen: readonly Seen[], { client, ending }: Conversation): void {
  const own = seen.filter(
    (each) => each.protocol === TCP && (each.source === formatAddress(client) || each.destination === formatAddress(client)),
  );
  const sides = new Map(own.map(({ source }) => [source, { next: -1, acknowledged: -1, window: 0, scale: 0, identification: -1 }]));
  for (const { source, destination, tcp, payload, identification } of own) {
    const side = sides.get(source)!;
    const other = sides.get(destination);
    const isSyn = tcp!.flags.includes("S");
    if (side.next >= 0 && !isSyn) expect(tcp!.sequence).toBe(side.next);
    // RFC 6864 asks it of fragments only, but readers tell a packet from its copy by it.
    if (identification !== undefined && side.identification >= 0) expect(identification).toBe((side.identification + 1) & 0xffff);
    side.identification = identification ?? -1;
    side.next = (tcp!.sequence + payload.length + (isSyn || tcp!.flags.includes("F") ? 1 : 0)) >>> 0;
    if (isSyn) side.scale = tcp!.scale;
    side.window = tcp!.window << (isSyn ? 0 : side.scale);
    if (tcp!.flags.includes("A") && other !== undefined) {
      expect((other.next - tcp!.acknowledgement) >>> 0).toBeLessThan(other.acknowledged < 0 ? 1 : 1 << 16);
      expect((tcp!.acknowledgement - other.acknowledged) >>> 0).toBeLessThan(other.acknowledged < 0 ? 2 ** 32 : 1 << 16);
      other.acknowledged = tcp!.acknowledgement;
    }
    if (payload.length > 0) expect((side.next - side.acknowledged) >>> 0).toBeLessThan(other!.window);
  }
  // In the end all that was said is acknowledged.
  for (const side of sides.values()) if (ending === "finished") expect(side.acknowledged).toBe(side.next);
}

describe("payloads", () => {
  /** What each side of one conversation says, as text. */
  function said(exchanges: Conversation["exchanges"], protocol = TCP): { client: string; server: string } {
    const seen = packetsOf(capture([{ ...PLAIN, protocol, exchanges }]).bytes);
    return { client: streamOf(seen, "10.0.0.1"), server: streamOf(seen, "10.1.0.1") };
  }

  test("HTTP/1.1 over several exchanges of one connection", () => {
    const { client, server } = said([
      { kind: "http", method: "GET", path: "/a?b=c", host: "orders.shop:8080", request: 0, status: 200, response: 3000 },
      { kind: "http", method: "POST", path: "/x\r\nEvil: 1", host: "orders", request: 10, status: 204, response: 99 },
      { kind: "http", method: "HEAD", path: "/h", host: "orders", request: 0, status: 200, response: 5 },
      { kind: "http", method: "PUT", path: "/z", host: "orders", request: 0, status: 404, response: 0 },
    ]);
    const agent = "User-Agent: kguardian-synth\r\nAccept: */*\r\n";
    expect(client).toBe(
      `GET /a?b=c HTTP/1.1\r\nHost: orders.shop:8080\r\n${agent}\r\n` +
        `POST /x__Evil:_1 HTTP/1.1\r\nHost: orders\r\n${agent}Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nline 0000 ` +
        `HEAD /h HTTP/1.1\r\nHost: orders\r\n${agent}\r\n` +
        `PUT /z HTTP/1.1\r\nHost: orders\r\n${agent}Content-Length: 0\r\n\r\n`,
    );
    const heads = server.split(/(?<=\r\n\r\n)/);
    expect(heads).toEqual([
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3000\r\n\r\n",
      expect.stringMatching(
        /^(line \d{4} of a body that stands for what some program says here\n){46}line 0046 of a body that stands for what some program saHTTP\/1\.1 204 No Content\r\n\r\n$/,
      ),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ]);
  });

  test("HTTP/2 frames: bodies in DATA of at most 16,384 bytes, the stream ended once", () => {
    const get = { kind: "http2", method: "POST", path: "/p", host: "h", request: 40_000, status: 200, response: 16_384 } as const;
    const { client, server } = said([get, { ...get, request: 0, response: 0 }]);
    expect(client.slice(0, 24)).toBe("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    // Both open the windows of streams (SETTINGS_INITIAL_WINDOW_SIZE) and of the connection to 2^31 - 1.
    for (const opening of [client, server]) {
      expect(opening).toContain("\x00\x04\x7f\xff\xff\xff\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\x00\x00");
    }
    const frames = (text: string) => {
      const found: string[] = [];
      for (let at = 0; at < text.length; ) {
        const head = Buffer.from(text.slice(at, at + 9), "latin1");
        found.push(`${head[3]} ${head[4]} ${head.readUInt32BE(5)} ${head.readUIntBE(0, 3)}`);
        at += 9 + head.readUIntBE(0, 3);
      }
      return found;
    };
    // Type, flags, stream and length.
    expect(frames(client.slice(24))).toEqual([
      ...["4 0 0 12", "8 0 0 4", "4 1 0 0", "1 4 1 32", "0 0 1 16384", "0 0 1 16384", "0 1 1 7232"],
      "1 5 3 19",
    ]);
    expect(frames(server)).toEqual(["4 0 0 6", "8 0 0 4", "4 1 0 0", "1 4 1 18", "0 1 1 16384", "1 5 3 5"]);
  });

  test("TLS: every byte is in a record, none of them too long", () => {
    const { client, server } = said([
      { kind: "tls", serverName: "api.example.com", request: 500, response: 40_000 },
      { kind: "tls", serverName: "api.example.com", request: 0, response: 1 },
    ]);
    const records = (text: string) => {
      const found: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = (text.charCodeAt(at + 3) << 8) | text.charCodeAt(at + 4);
        found.push(`${text.charCodeAt(at)} ${length}`);
        at += 5 + length;
      }
      return found;
    };
    expect(records(client)).toEqual([expect.stringMatching(/^22 /), "20 1", "23 53", "23 517"]);
    expect(records(server)).toEqual(["22 122", "20 1", "23 32", "23 2890", "23 281", "23 53", "23 16401", "23 16401", "23 7249", "23 18"]);
  });

  test("DNS over TCP has its length before it; over UDP an answer that does not fit is cut and says so", () => {
    const answers = Array.from({ length: 50 }, (_, i) => address(`192.0.2.${i + 1}`));
    const ask = { kind: "dns", name: "many.example.com", type: "A", answers, missing: false } as const;
    const overTcp = said([ask]).server;
    expect((overTcp.charCodeAt(0) << 8) | overTcp.charCodeAt(1)).toBe(overTcp.length - 2);
    expect(overTcp.length).toBe(2 + 12 + 18 + 4 + 50 * 16);
    expect(overTcp.charCodeAt(4) & 2).toBe(0);
    const overUdp = said([ask], UDP).server;
    expect(overUdp.length).toBeLessThanOrEqual(512);
    expect(overUdp.charCodeAt(2) & 2).toBe(2);
    expect(overUdp.charCodeAt(7)).toBe((overUdp.length - 34) / 16);
  });

  test("names that are no names of DNS have labels of at most 63 bytes, and 255 in all", () => {
    const names = [
      "",
      ".",
      "a..b.",
      "c".repeat(100),
      "abcdefgh.".repeat(40),
      `${"d".repeat(70)}.`.repeat(6),
      "x.".repeat(200),
      "\u20ac \n.e",
    ];
    const found = names.map((name) => {
      const text = said([{ kind: "dns", name, type: "A", answers: [], missing: false }], UDP).client;
      let at = 12;
      for (; text.charCodeAt(at) !== 0; at += 1 + text.charCodeAt(at)) expect(text.charCodeAt(at)).toBeLessThanOrEqual(63);
      expect(text.slice(at + 1)).toBe("\x00\x01\x00\x01");
      return at + 1 - 12;
    });
    expect(found).toEqual([1, 1, 5, 65, 253, 193, 255, 7]);
  });

  test("names of DNS answers and requests reach the reader", async () => {
    const ask = { kind: "dns", name: "db.example.com", type: "AAAA", answers: [address("2001:db8::5")], missing: false } as const;
    const get = { kind: "http", method: "GET", path: "/orders", host: "shop", request: 0, status: 200, response: 5 } as const;
    const tls = { kind: "tls", serverName: "api.example.com", request: 5, response: 5 } as const;
    const lookUp = { ...PLAIN, serverPort: 53, protocol: UDP, exchanges: [ask] };
    const bytes = capture([lookUp, { ...PLAIN, exchanges: [get] }, { ...PLAIN, serverPort: 443, exchanges: [tls] }]).bytes;
    const { names, decoder, table } = await replay([bytes]);
    expect(names.namesOf(address("2001:db8::5"))).toEqual(["db.example.com"]);
    const hints = Array.from({ length: table.size }, (_, row) => decoder.hints.all(row)).flat();
    expect(hints).toContainEqual({ http: { method: "GET", path: "/orders", host: "shop" } });
    expect(hints).toContainEqual({ tls: { serverName: "api.example.com" } });
  });
});
