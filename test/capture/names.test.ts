import dns, { type Answer, type Packet } from "dns-packet";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../src/net/address.ts";
import { bytes, conversation, ethernet, fragments4, ip4, PcapngBlocks, pcap, record, tcp, timed, u16, udp, zeros } from "./packets.ts";
import { type Replay, replay } from "./replay.ts";

const POD = "10.244.1.5";
const DNS = "10.96.0.10";
const namesOf = ({ names }: Replay, address: string) => names.namesOf(parseAddress(address)!);
const answerOver = (message: Uint8Array) => pcap(timed([ip4(DNS, POD, udp(53, 40000, message))]));

function encode(question: string, answers: Answer[], more: Partial<Packet> = {}): Uint8Array {
  return dns.encode({
    type: "response",
    id: 7,
    flags: dns.RECURSION_DESIRED,
    questions: [{ type: "A", name: question, class: "IN" }],
    answers,
    ...more,
  });
}

/** The same message with each answer's owner name as a pointer to where that name stood before (RFC 1035 section 4.1.4). */
function compress(question: string, answers: readonly Answer[]): Uint8Array {
  const known = new Map([[question, 12]]);
  let message = bytes(encode(question, []));
  for (const answer of answers) {
    const whole = dns.answer.encode(answer);
    const nameLength = dns.name.encodingLength(answer.name);
    const pointer = known.get(answer.name);
    const owner = pointer === undefined ? whole.subarray(0, nameLength) : bytes(u16(0xc000 | pointer));
    known.set(answer.name, pointer ?? message.length);
    // A CNAME's data is a name too: behind the owner's, 10 bytes of fields.
    if (answer.type === "CNAME" && !known.has(answer.data as string)) known.set(answer.data as string, message.length + owner.length + 10);
    message = bytes(message, owner, whole.subarray(nameLength));
  }
  message[7] = answers.length;
  return message;
}

describe("DNS answers name addresses", () => {
  // Law: every A and AAAA record of a successful answer to one question counts for the name that was asked, whatever aliases led to
  // it. dns-packet is the encoder (its names made pointers below); nothing of the program's reader is in it.
  test("random answers: compression, alias chains, both families, other records between them", async () => {
    const label = fc.stringMatching(/^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,10}[a-zA-Z0-9])?$/);
    const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join("."));
    const ipv4 = fc.ipV4().map((data) => ({ type: "A", data }));
    const ipv6 = fc
      .tuple(fc.nat(0xffff), fc.nat(0xffff))
      .map(([a, b]) => ({ type: "AAAA", data: `2001:db8::${a.toString(16)}:${b.toString(16)}` }));
    const other = fc.oneof(
      fc.constant({ type: "TXT", data: "v=spf1" }),
      name.map((data) => ({ type: "MX", data: { exchange: data, preference: 1 } })),
    );
    const message = fc.record({
      question: name,
      aliases: fc.array(name, { maxLength: 3 }),
      compressed: fc.boolean(),
      records: fc.array(fc.oneof({ weight: 4, arbitrary: ipv4 }, { weight: 3, arbitrary: ipv6 }, other), { maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 8 }), async (messages) => {
        const expected = new Map<string, Set<string>>();
        const payloads = messages.map(({ question, aliases, records, compressed }) => {
          const chain = [question, ...aliases];
          const answers = aliases.map((alias, i) => ({ type: "CNAME", name: chain[i], data: alias, ttl: 5 }) as Answer);
          for (const item of records) {
            answers.push({ name: chain.at(-1)!, ttl: 30, ...item });
            if (item.type !== "A" && item.type !== "AAAA") continue;
            const key = String(parseAddress(item.data as string));
            expected.set(key, (expected.get(key) ?? new Set()).add(question.toLowerCase()));
          }
          return compressed ? compress(question, answers) : encode(question, answers);
        });
        const read = await replay([pcap(timed(payloads.map((payload, i) => ip4(DNS, POD, udp(53, 40000 + i, payload)))))]);
        expect(read.names.size).toBe(expected.size);
        for (const [address, wanted] of expected) expect(new Set(read.names.namesOf(BigInt(address)))).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });

  const A = { type: "A", name: "api.example.com", data: "203.0.113.9", ttl: 1 };
  test.each<[string, readonly string[], Uint8Array]>([
    ["an answer", ["api.example.com"], encode("api.example.com", [A])],
    ["in lower case", ["api.example.com"], encode("API.Example.COM", [A])],
    ["a name that no host has is made safe to print", ["a?b?c.example"], encode("a\u001bb c.example", [A])],
    ["a query", [], encode("api.example.com", [A], { type: "query" })],
    ["NXDOMAIN", [], encode("api.example.com", [A], { flags: 3 })],
    [
      "two questions",
      [],
      encode("a.example", [A], {
        questions: [
          { type: "A", name: "a.example" },
          { type: "A", name: "b.example" },
        ],
      }),
    ],
    ["mDNS, without a question", [], encode("a.example", [A], { questions: [] })],
    ["only in the additional section", [], encode("a.example", [], { additionals: [A] })],
    ["an A record of 5 bytes", [], spoil(encode("api.example.com", [A]), -5, 5, bytes(0))],
  ])("%s", async (_what, wanted, message) => {
    expect(namesOf(await replay([answerOver(message)]), "203.0.113.9")).toEqual(wanted);
  });

  test("over TCP, with its length before it", async () => {
    const message = encode("api.example.com", [A]);
    const packets = [
      ip4(POD, DNS, tcp(40000, 53, "S")),
      ip4(DNS, POD, tcp(53, 40000, "SA", { ack: 1001 })),
      ip4(DNS, POD, tcp(53, 40000, "PA", { data: bytes(u16(message.length), message) })),
    ];
    expect(namesOf(await replay([pcap(timed(packets))]), "203.0.113.9")).toEqual(["api.example.com"]);
  });
  test("not from another port", async () => {
    expect((await replay([pcap(timed([ip4(DNS, POD, udp(5353, 40000, encode("api.example.com", [A])))]))])).names.size).toBe(0);
  });
  test("a first fragment gives what is in it", async () => {
    const message = encode("api.example.com", [A, ...Array.from({ length: 60 }, (_, i) => ({ ...A, data: `198.51.100.${i}` }) as Answer)]);
    const read = await replay([pcap(timed(fragments4(DNS, POD, udp(53, 40000, message), 400, 7)))]);
    expect(namesOf(read, "203.0.113.9")).toEqual(["api.example.com"]);
    expect(read.names.size).toBeLessThan(61);
  });
  test("cut at every byte: what was read before the cut, and never a throw", async () => {
    const alias: Answer = { type: "CNAME", name: "api.example.com", data: "edge.example.net", ttl: 1 };
    const message = compress("api.example.com", [alias, A, { ...A, data: "203.0.113.10" }]);
    for (let length = 0; length <= message.length; length++) {
      const read = await replay([answerOver(message.subarray(0, length))]);
      expect(read.names.size).toBe(length === message.length ? 2 : length >= message.length - 16 ? 1 : 0);
    }
  });
  test("one address of many names, one name of many addresses, bounded", async () => {
    const many = Array.from({ length: 40 }, (_, i) => ip4(DNS, POD, udp(53, 40000 + i, encode(`n${i}.example`, [A]))));
    const read = await replay([pcap(timed(many))]);
    expect(namesOf(read, "203.0.113.9")).toHaveLength(32);
    expect(read.names.leftOut).toBe(8);
  });
});

/** Puts bytes into a message before `at`, and sets the byte that holds the data's length. */
function spoil(message: Uint8Array, at: number, length: number, extra: Uint8Array): Uint8Array {
  const copy = bytes(message, extra);
  copy[message.length + at] = length;
  return copy;
}

describe("names in the capture itself (pcapng name resolution)", () => {
  const blocks = new PcapngBlocks();
  const names = blocks.names([
    ["203.0.113.9", "API.example.com", "alias.example.com"],
    ["2001:db8::9", "six.example.com"],
    ["203.0.113.10", "not a name\u001b[31m"],
  ]);
  const [first, second] = timed([ip4(POD, DNS, udp(1, 2)), ip4(POD, DNS, udp(1, 2))]);
  test("between packets, in both byte orders", async () => {
    for (const order of [blocks, new PcapngBlocks(true)]) {
      const block = order.names([
        ["203.0.113.9", "API.example.com", "alias.example.com"],
        ["2001:db8::9", "six.example.com"],
        ["203.0.113.10", "not a name\u001b[31m"],
      ]);
      const read = await replay([bytes(order.section(), order.interface(), order.enhanced(first), block, order.enhanced(second))]);
      expect(namesOf(read, "203.0.113.9")).toEqual(["alias.example.com", "api.example.com"]);
      expect(namesOf(read, "2001:db8::9")).toEqual(["six.example.com"]);
      expect(namesOf(read, "203.0.113.10")).toEqual([]);
    }
  });
  // openCapture looks for the first packet with a sink that takes nothing, so names that stand before it (where dumpcap and
  // Wireshark write them) are lost.
  test("before the first packet", async () => {
    const read = await replay([bytes(blocks.section(), blocks.interface(), names, blocks.enhanced(first))]);
    expect(namesOf(read, "203.0.113.9")).toEqual(["alias.example.com", "api.example.com"]);
  });
});

describe("what the first payload says", () => {
  /** A TLS 1.2 or 1.3 ClientHello with a server name (RFC 8446 section 4.1.2, RFC 6066 section 3). */
  function clientHello(name: string, { before = zeros(0), sessionId = zeros(32) } = {}): Uint8Array {
    const serverName = bytes(u16(0), u16(name.length + 5), u16(name.length + 3), 0, u16(name.length), name);
    const extensions = bytes(before, serverName, u16(43), u16(3), 2, 3, 4);
    const body = bytes(
      u16(0x0303),
      zeros(32),
      sessionId.length,
      sessionId,
      u16(4),
      u16(0x1301),
      u16(0x1302),
      1,
      0,
      u16(extensions.length),
      extensions,
    );
    return bytes(0x16, 3, 1, u16(body.length + 4), 1, 0, u16(body.length), body);
  }
  const padding = bytes(u16(21), u16(500), zeros(500));
  const hint = async (data: Uint8Array | string) => {
    const { decoder, connections } = await replay([pcap(timed(conversation(POD, 40000, "203.0.113.9", 443, { data })))]);
    expect(connections.size).toBe(1);
    return decoder.hints.first(connections.hintRows(0)[0]);
  };
  test.each<[string, unknown, Uint8Array | string]>([
    ["a server name", { tls: { serverName: "api.example.com" } }, clientHello("api.example.com")],
    ["in lower case", { tls: { serverName: "api.example.com" } }, clientHello("API.example.com")],
    ["after other extensions", { tls: { serverName: "api.example.com" } }, clientHello("api.example.com", { before: padding })],
    ["without a session", { tls: { serverName: "api.example.com" } }, clientHello("api.example.com", { sessionId: zeros(0) })],
    ["a hello that goes on in the next segment", { tls: { serverName: "a.example" } }, clientHello("a.example").subarray(0, -3)],
    ["a hello cut inside the name", undefined, clientHello("api.example.com").subarray(0, -12)],
    ["a name that no host has", undefined, clientHello("a b\u001b[31m")],
    [
      "a request",
      { http: { method: "GET", path: "/a?b=c", host: "api.example.com" } },
      "GET /a?b=c HTTP/1.1\r\nUser-Agent: x\r\nhOsT:  api.example.com \r\n\r\n",
    ],
    ["HTTP/1.0 without a host", { http: { method: "POST", path: "/" } }, "POST / HTTP/1.0\r\n\r\n"],
    [
      "a request whose headers go on in the next segment",
      { http: { method: "PUT", path: "/x", host: "h.example" } },
      "PUT /x HTTP/1.1\r\nHost: h.example\r\nCont",
    ],
    ["a host line that is not whole", { http: { method: "PUT", path: "/x" } }, "PUT /x HTTP/1.1\r\nHost: h.exam"],
    ["a Host in the body is no header", { http: { method: "PUT", path: "/x" } }, "PUT /x HTTP/1.1\r\nA: b\r\n\r\nHost: evil.example\r\n"],
    ["a request line that is not whole", undefined, "GET /a HTTP/1.1"],
    ["HTTP/2's preface", undefined, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["lower case is no method", undefined, "get /a HTTP/1.1\r\n\r\n"],
    ["an answer", undefined, "HTTP/1.1 200 OK\r\n\r\n"],
    ["SSH", undefined, "SSH-2.0-OpenSSH_9.6\r\n"],
  ])("%s", async (_what, wanted, data) => {
    expect(await hint(data)).toEqual(wanted);
  });
  test("a payload of one byte more and more", async () => {
    for (const data of [clientHello("api.example.com"), bytes("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")]) {
      for (let length = 1; length < data.length; length++) await hint(data.subarray(0, length));
    }
  });
  test("only the first payload of a side counts", async () => {
    const request = (path: string, seq: number) => ip4(POD, DNS, tcp(40000, 80, "PA", { seq, data: `GET ${path} HTTP/1.1\r\n\r\n` }));
    const { decoder } = await replay([pcap([request("/one", 1), request("/two", 2)].map((packet, i) => record(i, ethernet(packet))))]);
    expect([...decoder.hints.values()]).toEqual([{ http: { method: "GET", path: "/one" } }]);
  });
  test("where every request is wanted, those that follow on a connection are kept too, and it counts once", async () => {
    const segment = (data: string, seq: number) => ip4(POD, DNS, tcp(40000, 80, "PA", { seq, data }));
    const texts = ["GET /one HTTP/1.1\r\n\r\n", "a=GET /body HTTP/1.1\r\n", "POST /two HTTP/1.1\r\n\r\n", "GET /one HTTP/1.1\r\n\r\n"];
    const file = pcap(texts.map((text, i) => record(i, ethernet(segment(text, 1 + 100 * i)))));
    const { decoder, connections } = await replay([file], { everyRequest: true });
    const [row] = connections.hintRows(0);
    expect(decoder.hints.all(row)).toEqual([{ http: { method: "GET", path: "/one" } }, { http: { method: "POST", path: "/two" } }]);
    expect(decoder.hints.countOf(row)).toBe(1);
  });
  // Hints are shown on terminals and in reports: what the network sent must not bring escape sequences along (RFC 9110 section 5.5
  // forbids control characters in field values).
  test("control characters in a Host", async () => {
    expect(await hint("GET / HTTP/1.1\r\nHost: \u001b[2Jevil\r\n\r\n")).toEqual({ http: { method: "GET", path: "/" } });
  });
});
