import { STATE_WORDS } from "../kernel/constants.ts";
import { KERNEL_CODE } from "./kernelCode.ts";

/** What the kernel (src/kernel, AssemblyScript) can be asked. Numbers are 32-bit integers; addresses are places in its memory. */
interface KernelCalls {
  begin(seed: number): void;
  indexRows(): void;
  locate(source: number, destination: number, sourcePort: number, destinationPort: number, kind: number): number;
  add(
    source: number,
    destination: number,
    sourcePort: number,
    destinationPort: number,
    kind: number,
    seconds: number,
    nanoseconds: number,
  ): number;
  count(row: number, side: number, bytes: number, seconds: number, nanoseconds: number): void;
  addBytes(row: number, side: number, bytes: number): void;
  addPackets(row: number, side: number, packets: number): void;
  touch(row: number, seconds: number, nanoseconds: number): void;
  beginObservation(): void;
  expectCopies(): void;
  decode(address: number, captured: number, wire: number, link: number, place: number, seconds: number, nanoseconds: number): void;
  allocate(bits: number): number;
  release(address: number, bits: number): void;
  findIds(cells: number, from: number, to: number, into: number): void;
  beginJoin(cells: number, rows: number, ids: number, standing: number, initiators: number, seen: number): void;
  findDirections(facts: number, servedPorts: number): void;
  joinViews(facts: number, flags: number, parents: number, sources: number): number;
  rootOf(row: number): number;
  unite(row: number, other: number): void;
  makeConnections(): number;
  copyTuples(store: number): number;
  releaseTuples(store: number): void;
  countTuples(store: number): number;
  cellOf(store: number, id: number): number;
  internConnection(
    store: number,
    source: number,
    sourceEpoch: number,
    destination: number,
    destinationEpoch: number,
    via: number,
    portPair: number,
    protocol: number,
  ): number;
  beginAdding(store: number, flags: number, statedVias: number): void;
  addRows(numbers: number): void;
  internRow(row: number): number;
  fileCoarse(connection: number, row: number): void;
  addGaps(connection: number, gaps: number): void;
  outcomeOf(row: number): number;
  timesOf(row: number): number;
  beginText(): number;
  endText(text: number): void;
  dropText(text: number): void;
  textAddress(text: number): number;
  textLength(text: number): number;
  putText(text: number, piece: number): void;
  putConnection(
    text: number,
    store: number,
    connection: number,
    texts: number,
    source: number,
    via: number,
    destination: number,
    ports: number,
    egress: number,
    ingress: number,
    tail: number,
    accepted: number,
  ): void;
}

/** What the kernel asks of the flow table that it keeps (src/kernel/host.ts). */
export interface TableHost {
  moved(cells: number, rows: number): void;
  intern(w0: number, w1: number, w2: number, w3: number): number;
  isReused(a: number, b: number, kind: number): boolean;
  changedHands(row: number, seconds: number): boolean;
}

/** What the kernel asks while rows are joined (src/kernel/host.ts). Addresses are ids of the address table. */
export interface SurroundingsHost {
  isServing(address: number, protocol: number, port: number): boolean;
  isDialled(address: number, protocol: number, port: number): boolean;
  leadsTo(address: number, protocol: number, port: number, backend: number, backendPort: number): boolean;
  leadsToPort(address: number, protocol: number, port: number, backend: number, backendPort: number): boolean;
  isNode(address: number): boolean;
  isPodAt(address: number, seconds: number): boolean;
  epochAt(address: number, seconds: number): number;
  looksLikeReply(sourcePort: number, destinationPort: number): boolean;
}

/** What the kernel asks of the packet decoder (src/kernel/host.ts). */
export interface DecoderHost {
  firstFragment(
    source: number,
    destination: number,
    kind: number,
    identification: number,
    row: number,
    side: number,
    seconds: number,
  ): void;
  laterFragment(
    source: number,
    destination: number,
    kind: number,
    identification: number,
    wire: number,
    seconds: number,
    nanoseconds: number,
  ): void;
  look(row: number, at: number, end: number): boolean;
  lookAgain(row: number, at: number, end: number): void;
  lookAtQuery(row: number, at: number, end: number): void;
  readDns(at: number, end: number): void;
}

/** The kernel cannot run, or its memory is used up. The message says what to do. */
export class KernelError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "KernelError";
  }
}

const NO_WEBASSEMBLY = "this Node.js runs without WebAssembly (--jitless?), which packets are decoded in: start it without that option";
/** At 64 bytes a row: 16 to 33 million, since a table grows by being copied into one that is larger. */
const FULL = "more distinct connections than can be held (4 GB of them): read fewer inputs, or less of them with --since and --until";

/** Pages of 64 KiB that 32 bits address. */
const MOST_PAGES = 1 << 16;

/** Returns the bits of the region of the kernel's memory that `bytes` take. */
export function bitsOf(bytes: number): number {
  return bytes <= 2 ? 1 : 32 - Math.clz32(bytes - 1);
}

let compiled: WebAssembly.Module | undefined;

/**
 * The hot path in WebAssembly: a flow table and the decoder that fills it. V8 compiles it once, as it is written, where it compiles
 * JavaScript three times, each for the values that it has met. Its memory is shared: views of it stay good when it grows.
 *
 * V8 does not see how much of it is in use: one that is dropped is freed late, so that tables should be few, and used again.
 */
export class Kernel {
  readonly calls: KernelCalls;
  /** See the words of kernel/constants.ts. */
  readonly state: Int32Array;
  /** Of the decoder at work. */
  decoder: DecoderHost | undefined;
  /** Of the rows that are being joined. */
  surroundings: SurroundingsHost | undefined;
  readonly #memory: WebAssembly.Memory;

  constructor(table: TableHost) {
    if (typeof WebAssembly === "undefined") throw new KernelError(NO_WEBASSEMBLY);
    compiled ??= new WebAssembly.Module(Buffer.from(KERNEL_CODE, "base64"));
    this.#memory = new WebAssembly.Memory({ initial: 4, maximum: MOST_PAGES, shared: true });
    const host = {
      ...table,
      isFull() {
        throw new KernelError(FULL);
      },
      firstFragment: (...values: Parameters<DecoderHost["firstFragment"]>) => this.decoder!.firstFragment(...values),
      laterFragment: (...values: Parameters<DecoderHost["laterFragment"]>) => this.decoder!.laterFragment(...values),
      look: (row: number, at: number, end: number) => this.decoder!.look(row, at, end),
      lookAgain: (row: number, at: number, end: number) => this.decoder!.lookAgain(row, at, end),
      lookAtQuery: (row: number, at: number, end: number) => this.decoder!.lookAtQuery(row, at, end),
      readDns: (at: number, end: number) => this.decoder!.readDns(at, end),
      numberText: (value: number, at: number) => Buffer.from(this.#memory.buffer, at >>> 0, 24).write(String(value), "latin1"),
      isServing: (address: number, protocol: number, port: number) => this.surroundings!.isServing(address, protocol, port),
      isDialled: (address: number, protocol: number, port: number) => this.surroundings!.isDialled(address, protocol, port),
      leadsTo: (...values: Parameters<SurroundingsHost["leadsTo"]>) => this.surroundings!.leadsTo(...values),
      leadsToPort: (...values: Parameters<SurroundingsHost["leadsToPort"]>) => this.surroundings!.leadsToPort(...values),
      isNode: (address: number) => this.surroundings!.isNode(address),
      isPodAt: (address: number, seconds: number) => this.surroundings!.isPodAt(address, seconds),
      epochAt: (address: number, seconds: number) => this.surroundings!.epochAt(address, seconds),
      looksLikeReply: (sourcePort: number, destinationPort: number) => this.surroundings!.looksLikeReply(sourcePort, destinationPort),
    };
    const { exports } = new WebAssembly.Instance(compiled, { host, env: { memory: this.#memory } });
    this.calls = { ...exports } as unknown as KernelCalls;
    this.state = this.words((exports.state as WebAssembly.Global).value, STATE_WORDS);
  }

  /** Returns the counters, 64-bit floats, from a word of the state on. */
  counters(word: number, length: number): Float64Array {
    return this.floats(this.state.byteOffset + 4 * word, length);
  }

  /** Returns a view of `length` 64-bit floats at an address. */
  floats(address: number, length: number): Float64Array {
    return new Float64Array(this.#memory.buffer, address >>> 0, length);
  }

  /** Returns a view of `length` words at an address. */
  words(address: number, length: number): Int32Array {
    return new Int32Array(this.#memory.buffer, address >>> 0, length);
  }

  /** Returns a view of `length` bytes at an address. */
  octets(address: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, address >>> 0, length);
  }

  /** Returns a view of all memory that there is now: places in it are addresses. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#memory.buffer);
  }
}
