import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, ethernet, ip4, pcap, record, tcp, u16, udp } from "../capture/packets.ts";
import { fuzz, readCapture } from "./harness.ts";

const any = fc.uint8Array({ maxLength: 300 });
const small = fc.nat(0xffff);

describe("payloads of any bytes", () => {
  test("DNS", async () => {
    const head = fc.tuple(
      fc.constantFrom(0x8180, 0x8000, 0x0100, 0xffff),
      fc.constantFrom(0, 1, 2, 0xffff),
      fc.constantFrom(0, 1, 3, 0xffff),
    );
    const name = fc.oneof(
      any,
      fc.constant(bytes(3, "api", 7, "example", 0)),
      fc.constant(bytes(0xc0, 12)),
      fc.constant(bytes(63, new Uint8Array(63))),
    );
    const answer = fc.tuple(name, fc.constantFrom(1, 5, 28, 41, 0xffff), small, fc.uint8Array({ maxLength: 20 }));
    const message = fc
      .tuple(head, name, fc.array(answer, { maxLength: 5 }), fc.boolean())
      .map(([[flags, questions, answers], question, records, honest]) =>
        bytes(
          u16(7),
          u16(flags),
          u16(questions),
          u16(answers),
          u16(0),
          u16(0),
          question,
          u16(1),
          u16(1),
          ...records.map(([owner, type, length, data]) =>
            bytes(owner, u16(type), u16(1), u16(0), u16(5), u16(honest ? data.length : length), data),
          ),
        ),
      );
    await fuzz(7, fc.oneof(any, message), async (data) => {
      const segment = ip4("10.0.0.2", "10.0.0.1", tcp(53, 40000, "PA", { data: bytes(u16(data.length), data) }));
      const { names, table } = await readCapture(
        pcap([ip4("10.0.0.2", "10.0.0.1", udp(53, 40000, data)), segment].map((packet, i) => record(i, ethernet(packet)))),
      );
      expect(table.size).toBe(2);
      for (let id = 0; id < table.addresses.size; id++) {
        for (const text of names.namesOf(table.addresses.addressOf(id))) expect(text).toMatch(/^[a-z0-9_.?-]*$/);
      }
    });
  });

  test("TLS", async () => {
    const hello = fc
      .tuple(fc.nat(255), fc.nat(64), small, small, small, any)
      .map(([version, session, suites, extensions, length, rest]) =>
        bytes(
          0x16,
          3,
          version,
          u16(length),
          1,
          0,
          u16(length),
          3,
          3,
          new Uint8Array(32),
          session,
          new Uint8Array(session),
          u16(suites % 40),
          rest,
          u16(extensions),
          u16(0),
          u16(length),
          rest,
        ),
      );
    await fuzz(4, fc.oneof(any, hello), async (data) => {
      const { decoder } = await readCapture(pcap([record(0, ethernet(ip4("10.0.0.1", "10.0.0.2", tcp(40000, 443, "PA", { data }))))]));
      for (const { tls } of decoder.hints.values()) expect(tls?.serverName ?? "").toMatch(/^[a-z0-9_.-]*$/);
    });
  });

  test("HTTP", async () => {
    const piece = fc.constantFrom(
      "GET",
      "POST",
      " ",
      "/",
      "HTTP/1.1",
      "HTTP/1.",
      "\r\n",
      "\r",
      "\n",
      "Host:",
      "host: ",
      "a.example",
      "\0",
      "\u001b[2J",
      "x".repeat(200),
    );
    const text = fc.array(piece, { maxLength: 15 }).map((parts) => bytes(parts.join("")));
    await fuzz(
      3,
      fc.oneof(
        text,
        text.map((rest) => bytes("GET / HTTP/1.1\r\n", rest)),
      ),
      async (data) => {
        const { decoder } = await readCapture(pcap([record(0, ethernet(ip4("10.0.0.1", "10.0.0.2", tcp(40000, 80, "PA", { data }))))]));
        for (const { http } of decoder.hints.values()) {
          expect(http?.method ?? "GET").toMatch(/^[A-Z]+$/);
          expect(http?.path ?? "/").toMatch(/^[^\0- ]+$/);
        }
      },
    );
  });
});
