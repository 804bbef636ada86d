/*
 * What the kernel asks of the program (src/flow/kernel.ts, src/capture/packetDecoder.ts): what is rare, or needs text and objects.
 * Addresses are places in the kernel's memory.
 */

/** The table's rows have moved: `cells` is where, `rows` how many there is room for. */
export declare function moved(cells: usize, rows: i32): void;
/** The memory that a WebAssembly module can have is used up. Does not return. */
export declare function isFull(): void;
/** Returns the id of an IPv6 address. */
export declare function intern(w0: i32, w1: i32, w2: i32, w3: i32): i32;
/** Reports whether an end's address belongs to several parties over time. */
export declare function isReused(a: i32, b: i32, kind: i32): bool;
/** Reports whether an end of the row's tuple belongs to another party at `seconds` than when the row began. */
export declare function changedHands(row: i32, seconds: u32): bool;
/** Files the first fragment of a datagram under its row and side. */
export declare function firstFragment(
  source: i32,
  destination: i32,
  kind: i32,
  identification: i32,
  row: i32,
  side: i32,
  seconds: u32,
): void;
/** A later fragment of a datagram: counted where its first has come. */
export declare function laterFragment(
  source: i32,
  destination: i32,
  kind: i32,
  identification: i32,
  wire: u32,
  seconds: u32,
  nanoseconds: i32,
): void;
/** Looks for a TLS or HTTP hint in a payload, kept for the row; reports whether there is one. */
export declare function look(row: i32, at: usize, end: usize): bool;
/** Looks for a further request on a connection that is kept open. */
export declare function lookAgain(row: i32, at: usize, end: usize): void;
/** Reads the name that a DNS query asks for. */
export declare function lookAtQuery(row: i32, at: usize, end: usize): void;
/** Reads a DNS response. */
export declare function readDns(at: usize, end: usize): void;
/** Reports whether an object says that an address serves a port. Addresses are given as ids of the address table. */
export declare function isServing(address: i32, protocol: i32, port: i32): bool;
/** Reports whether a packet goes from a port as servers have them to one as clients have them. */
export declare function looksLikeReply(sourcePort: i32, destinationPort: i32): bool;
/** Reports whether packets to an address and port are translated to a backend. */
export declare function isDialled(address: i32, protocol: i32, port: i32): bool;
/** Reports whether the translation of a dialled address and port can lead to a backend. */
export declare function leadsTo(address: i32, protocol: i32, port: i32, backend: i32, backendPort: i32): bool;
/** The same by the port alone. */
export declare function leadsToPort(address: i32, protocol: i32, port: i32, backend: i32, backendPort: i32): bool;
/** Reports whether an address is a pod's at a moment. */
export declare function isPodAt(address: i32, seconds: u32): bool;
/** Reports whether an address is a node's own. */
export declare function isNode(address: i32): bool;
/** Returns a number that differs whenever the owner of an address differs. */
export declare function epochAt(address: i32, seconds: u32): i32;
/** Writes a number as JSON has it, up to 24 bytes; returns how many. */
export declare function numberText(value: f64, at: usize): i32;
