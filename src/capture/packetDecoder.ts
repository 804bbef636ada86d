import type { FlowTable } from "../flow/flowTable.ts";
import { type L7Hint, L7Hints } from "../flow/hints.ts";
import type { DecoderHost } from "../flow/kernel.ts";
import type { NameTable } from "../flow/names.ts";
import {
  COPIES,
  COPIES_EXPECTED,
  EVERY_REQUEST,
  LINK_ETHERNET,
  LINK_IPV4,
  LINK_IPV6,
  LINK_LINUX_SLL,
  LINK_LINUX_SLL2,
  LINK_LOOP,
  LINK_NULL,
  LINK_RAW,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
  SKIPPED,
} from "../kernel/constants.ts";
import type { PacketSink } from "./captureFormat.ts";
import { DnsReader, readQueryName } from "./dns.ts";
import { Fragments } from "./fragments.ts";
import { readHttpRequest } from "./http.ts";
import { OUTSIDE_WINDOW, SKIP_REASONS } from "./skipReasons.ts";
import { readServerName } from "./tls.ts";

/** Link types that are read. */
export const SUPPORTED_LINKS: ReadonlySet<number> = new Set([
  LINK_NULL,
  LINK_ETHERNET,
  LINK_RAW_BSD,
  LINK_RAW_OPENBSD,
  LINK_RAW,
  LINK_LOOP,
  LINK_LINUX_SLL,
  LINK_IPV4,
  LINK_IPV6,
  LINK_LINUX_SLL2,
]);

const TLS_HANDSHAKE = 0x16;

/**
 * Has the kernel turn frames into rows of a flow table (kernel/decoder.ts), and does what is rare or makes text: the time window,
 * fragments, requests, DNS. One decoder at a time fills a table.
 */
export class PacketDecoder implements PacketSink, DecoderHost {
  /** Packets in no connection, by the places of SKIP_REASONS. */
  readonly skipped: Float64Array;
  readonly hints = new L7Hints();
  readonly fragments = new Fragments();

  readonly #table: FlowTable;
  readonly #names: NameTable;
  /** Inclusive bounds of the time window, in epoch seconds; undefined: everything counts. */
  readonly #window: { readonly since: number; readonly until: number } | undefined;
  readonly #copies: Float64Array;
  readonly #dnsReader = new DnsReader();
  readonly #nameSink = (name: string, offset: number, length: number) => this.#names.addFromBytes(name, this.#bytes, offset, length);
  /** All memory of the kernel that buffers lie in. */
  #bytes: Uint8Array = new Uint8Array(0);
  #seconds = 0;
  #nanoseconds = 0;

  /** `everyRequest`: the first request of every connection is kept, not only one for a client, server and port. */
  constructor(table: FlowTable, names: NameTable, window?: { readonly since: number; readonly until: number }, everyRequest = false) {
    this.#table = table;
    this.#names = names;
    this.#window = window;
    const { kernel } = table;
    kernel.decoder = this;
    kernel.calls.beginObservation();
    kernel.state[EVERY_REQUEST] = everyRequest ? 1 : 0;
    this.skipped = kernel.counters(SKIPPED, SKIP_REASONS.length);
    this.#copies = kernel.counters(COPIES, 1);
  }

  /** Number of the interface 0 of the file at hand, over all files: interfaces of different files are different places. */
  firstPlace = 0;

  /** Time of the packet that was read last, epoch seconds. */
  get latest(): number {
    return this.#seconds + this.#nanoseconds * 1e-9;
  }

  /** Packets that were captured before at another place. */
  get copies(): number {
    return this.#copies[0];
  }

  buffer(bits: number): Uint8Array {
    const { kernel } = this.#table;
    const address = kernel.calls.allocate(bits) >>> 0;
    this.#bytes = kernel.bytes();
    return this.#bytes.subarray(address, address + 2 ** bits);
  }

  release(buffer: Uint8Array): void {
    this.#table.kernel.calls.release(buffer.byteOffset, Math.log2(buffer.length));
  }

  /** From here on, packets may be captured at several places: copies are looked for. */
  expectCopies(): void {
    this.#table.kernel.calls.expectCopies();
  }

  /** Decodes one frame of `captured` bytes at `offset`, `wire` bytes long on the wire, and counts it in its connection. */
  packet(
    buffer: Uint8Array,
    offset: number,
    captured: number,
    wire: number,
    link: number,
    interfaceNumber: number,
    seconds: number,
    nanoseconds: number,
  ): void {
    const { kernel } = this.#table;
    if (interfaceNumber > 0 && kernel.state[COPIES_EXPECTED] === 0) this.expectCopies();
    if (this.#window !== undefined) {
      const moment = seconds + nanoseconds * 1e-9;
      if (moment < this.#window.since || moment > this.#window.until) {
        this.skipped[OUTSIDE_WINDOW]++;
        return;
      }
    }
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
    kernel.calls.decode(buffer.byteOffset + offset, captured, wire, link, this.firstPlace + interfaceNumber, seconds, nanoseconds);
  }

  /** A name that the capture itself gives an address. */
  name(name: string, bytes: Uint8Array, offset: number, length: number): void {
    this.#names.addFromBytes(name, bytes, offset, length);
  }

  firstFragment(
    source: number,
    destination: number,
    kind: number,
    identification: number,
    row: number,
    side: number,
    seconds: number,
  ): void {
    const waiting = this.fragments.first(source, destination, kind, identification, row, side, seconds >>> 0);
    if (waiting === undefined) return;
    this.#table.addPackets(row, side, waiting.packets);
    this.#table.addBytes(row, side, waiting.bytes);
  }

  laterFragment(
    source: number,
    destination: number,
    kind: number,
    identification: number,
    wire: number,
    seconds: number,
    nanoseconds: number,
  ): void {
    const row = this.fragments.find(source, destination, kind, identification, wire >>> 0, seconds >>> 0);
    if (row >= 0) this.#table.count(row, this.fragments.side, wire, seconds, nanoseconds);
  }

  look(row: number, at: number, end: number): boolean {
    const hint = this.#hintAt(at >>> 0, end >>> 0);
    if (hint !== undefined) this.hints.add(row, hint);
    return hint !== undefined;
  }

  #hintAt(at: number, end: number): L7Hint | undefined {
    const bytes = this.#bytes;
    if (bytes[at] !== TLS_HANDSHAKE) {
      const http = readHttpRequest(bytes, at, end);
      return http && { http };
    }
    const serverName = readServerName(bytes, at, end);
    return serverName === undefined ? undefined : { tls: { serverName } };
  }

  /** Looks for a further request on a connection that is kept open: one begins where a segment does, nearly always. */
  lookAgain(row: number, at: number, end: number): void {
    const http = readHttpRequest(this.#bytes, at >>> 0, end >>> 0);
    if (http !== undefined) this.hints.addFurther(row, { http });
  }

  lookAtQuery(row: number, at: number, end: number): void {
    const query = readQueryName(this.#bytes, at >>> 0, end >>> 0);
    if (query === undefined) return;
    // Resolvers ask for both families of a name from one socket: that is one connection.
    if (this.hints.has(row)) this.hints.addFurther(row, { dns: { query } });
    else this.hints.add(row, { dns: { query } });
  }

  readDns(at: number, end: number): void {
    this.#dnsReader.read(this.#bytes, at >>> 0, end >>> 0, this.#nameSink);
  }
}
