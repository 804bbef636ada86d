import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TCP, UDP } from "../../src/net/protocol.ts";
import type { Conversation, Exchange } from "../../src/synth/conversation.ts";
import { measure } from "../../src/synth/measure.ts";
import { capture } from "./conversations.ts";
import { everyKind, HTTP2_PORT } from "./everyKind.ts";

/*
 * Wireshark's programs and tcpdump read a capture with every kind of exchange, ending and family, and complain of nothing. Needs
 * tshark, capinfos and tcpdump (Debian: apt-get install tshark tcpdump); those missing are named in the name of the skipped test.
 */

const ENVIRONMENT = { ...process.env, TZ: "UTC", LC_ALL: "C", PATH: [process.env.PATH, "/usr/sbin", "/sbin"].join(delimiter) };
const MISSING = ["tshark", "capinfos", "tcpdump"].filter(
  (program) => spawnSync(program, ["--version"], { env: ENVIRONMENT }).error !== undefined,
);

/** What is inherent to endings: that connections end, by FIN or by RST, and that a SYN is sent again in vain. */
const INHERENT_WARNINGS = ["Connection reset (RST)"];
const INHERENT_NOTES = [
  "This frame initiates the connection closing",
  "This frame undergoes the connection closing",
  "This frame is a (suspected) retransmission",
];

const PREFERENCES = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum", "tcp.analyze_sequence_numbers"].flatMap((name) => [
  "-o",
  `${name}:TRUE`,
]);
const GOOD = "1";
const UNVERIFIED = "2";

const CONVERSATIONS = everyKind();

describe.skipIf(MISSING.length > 0)(
  `other programs read the capture${MISSING.length > 0 ? ` (not installed: ${MISSING.join(", ")})` : ""}`,
  () => {
    let folder: string;
    let path: string;
    let packets: number;

    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), "kguardian-synth-"));
      path = join(folder, "every.pcapng");
      const made = capture(CONVERSATIONS);
      packets = made.packets;
      writeFileSync(path, made.bytes);
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    function run(program: string, ...parameters: readonly string[]): string {
      const { status, stdout, stderr } = spawnSync(program, parameters, { env: ENVIRONMENT, encoding: "utf8", maxBuffer: 1 << 28 });
      expect(status, `${program}: ${stderr}`).toBe(0);
      return stdout;
    }

    /** What tshark says of the capture, by lines. */
    function tshark(...parameters: readonly string[]): string[] {
      const lines = run("tshark", "-r", path, ...PREFERENCES, "-d", `tcp.port==${HTTP2_PORT},http2`, ...parameters).split("\n");
      return lines.filter((line) => line !== "");
    }

    /** The values of fields in the packets that a filter picks, a line a packet, tabs between fields. */
    function fields(filter: string, ...names: readonly string[]): string[] {
      return tshark("-Y", filter, "-T", "fields", ...names.flatMap((name) => ["-e", name]));
    }

    /** Exchanges that the capture holds whole or asks for at least. */
    function exchanged<Kind extends Exchange["kind"]>(
      kind: Kind,
      isAsked: (each: Conversation) => boolean,
    ): Extract<Exchange, { kind: Kind }>[] {
      return CONVERSATIONS.filter(isAsked).flatMap((each) =>
        each.exchanges.filter((exchange): exchange is Extract<Exchange, { kind: Kind }> => exchange.kind === kind),
      );
    }

    const isWhole = ({ ending }: Conversation) => ending !== "refused" && ending !== "unanswered";

    test("capinfos: in strict order of time, with the packets that were written", () => {
      const told = run("capinfos", "-M", "-c", "-o", "-d", path);
      expect(told).toMatch(new RegExp(`Number of packets: +${packets}\n`));
      expect(told).toMatch(/Strict time order: +True/);
      const errors = CONVERSATIONS.filter(({ protocol, ending }) => protocol === UDP && ending === "refused").length;
      expect(CONVERSATIONS.reduce((sum, each) => sum + measure(each).packets, errors)).toBe(packets);
    });

    test("tcpdump reads every packet, and finds nothing bad", () => {
      // A line of a body that goes on in the next segment is one that tcpdump marks as cut.
      const lines = run("tcpdump", "-n", "-vv", "-r", path).split("\n");
      const isBad = (line: string) => /\b(bad|incorrect|truncated|malformed|invalid|wrong)\b|\[\|/i.test(line);
      expect(lines.map((line) => line.replace(/\[\|http\]$/, "")).filter(isBad)).toEqual([]);
      const plain = run("tcpdump", "-n", "-r", path, "ip or ip6").split("\n");
      expect(plain.filter((line) => /^\d\d:/.test(line)).length).toBe(packets);
    });

    test("tshark: nothing is malformed, and nothing is worth a warning but what is inherent to an ending", () => {
      expect(fields("_ws.malformed", "frame.number")).toEqual([]);
      // A section a severity, "Warns (24)", then rows of count, group, protocol and what is the matter.
      const found = new Map<string, Set<string>>();
      let section = "";
      for (const line of tshark("-q", "-z", "expert,note")) {
        section = line.match(/^(\w+) \(\d+\)$/)?.[1] ?? section;
        const message = line.match(/^ +\d+ +\S+ +\S+ {2}(.+)$/)?.[1];
        if (message !== undefined) found.set(section, (found.get(section) ?? new Set()).add(message));
      }
      expect(Object.fromEntries(found)).toEqual({ Warns: new Set(INHERENT_WARNINGS), Notes: new Set(INHERENT_NOTES) });
    });

    test("tshark: every checksum is good; a datagram that an error quotes in part cannot be checked", () => {
      const statuses = [
        "ip.checksum.status",
        "tcp.checksum.status",
        "udp.checksum.status",
        "icmp.checksum.status",
        "icmpv6.checksum.status",
      ];
      const seen = fields("ip || ipv6", ...statuses, "icmp.type", "icmpv6.type");
      expect(seen.length).toBe(packets);
      for (const line of seen) {
        const cells = line.split("\t");
        const isError = cells[5] !== "" || cells[6] !== "";
        const found = cells.slice(0, 5).flatMap((cell) => (cell === "" ? [] : cell.split(",")));
        if (!found.every((status) => status === GOOD || (isError && status === UNVERIFIED))) expect(line).toBe("good checksums");
        expect(found.length).toBeGreaterThan(0);
      }
    });

    test("tshark: the requests of HTTP/1.1 and their answers", () => {
      const whole = exchanged("http", isWhole);
      const requests = fields("http.request", "http.request.method", "http.host", "http.request.uri");
      expect(requests.sort()).toEqual(whole.map(({ method, host, path }) => `${method}\t${host}\t${path}`).sort());
      const answers = fields("http.response", "http.response.code");
      expect(answers.sort()).toEqual(whole.map(({ status }) => String(status)).sort());
    });

    test("tshark: the paths of HTTP/2 and all bytes of its bodies", () => {
      const whole = exchanged("http2", isWhole);
      const requests = fields("http2.headers.path", "http2.headers.method", "http2.headers.authority", "http2.headers.path");
      expect(requests.sort()).toEqual(whole.map(({ method, host, path }) => `${method}\t${host}\t${path}`).sort());
      const answers = fields("http2.headers.status", "http2.headers.status").flatMap((line) => line.split(","));
      expect(answers.sort()).toEqual(whole.map(({ status }) => String(status)).sort());
      // Frames of type 0 are DATA; one packet may end several.
      const lengths = fields("http2.type == 0", "http2.type", "http2.length").flatMap((line) => {
        const [types, sizes] = line.split("\t").map((cell) => cell.split(","));
        return sizes.filter((_, i) => types[i] === "0").map(Number);
      });
      const bodies = whole.map(({ method, status, request, response }) => request + (method === "HEAD" || status === 304 ? 0 : response));
      expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(bodies.reduce((sum, length) => sum + length, 0));
    });

    test("tshark: server names of TLS 1.3, and as many answers as hellos", () => {
      const names = fields("tls.handshake.type == 1", "tls.handshake.extensions_server_name", "tls.handshake.extensions.supported_version");
      const hellos = CONVERSATIONS.filter((each) => isWhole(each) && each.exchanges[0]?.kind === "tls");
      const wanted = hellos.map(({ exchanges }) => `${exchanges[0].kind === "tls" ? exchanges[0].serverName : ""}\t0x0304`);
      expect(names.sort()).toEqual(wanted.sort());
      expect(fields("tls.handshake.type == 2", "tls.handshake.extensions.supported_version")).toEqual(hellos.map(() => "0x0304"));
    });

    test("tshark: names and answers of DNS over UDP and TCP", () => {
      const isOver = (protocol: number) => (each: Conversation) => each.protocol === protocol && isWhole(each);
      const answered = [...exchanged("dns", isOver(UDP)), ...exchanged("dns", isOver(TCP))];
      const responses = fields("dns.flags.response == 1", "dns.qry.name", "dns.flags.rcode");
      expect(responses.sort()).toEqual(answered.map(({ name, missing }) => `${name}\t${missing ? 3 : 0}`).sort());
      const addresses = fields("dns.a && !dns.flags.truncated == 1", "dns.a");
      const wanted = answered.filter(({ type, answers }) => type === "A" && answers.length > 0 && answers.length < 20);
      expect(addresses.length).toBe(wanted.length);
      // Of those refused the first was asked; of those unanswered, over UDP, all.
      const unanswered = exchanged("dns", ({ protocol, ending }) => protocol === UDP && ending === "unanswered");
      const refused = CONVERSATIONS.filter(({ protocol, ending }) => protocol === UDP && ending === "refused").flatMap(({ exchanges }) =>
        exchanges.slice(0, 1).flatMap((exchange) => (exchange.kind === "dns" ? [exchange] : [])),
      );
      const queries = fields("dns.flags.response == 0 && !icmp && !icmpv6", "dns.qry.name");
      expect(queries.sort()).toEqual([...answered, ...unanswered, ...refused].map(({ name }) => name).sort());
    });
  },
);
