/*
 * Numbers that the kernel (AssemblyScript, in this folder) and the program (TypeScript) both use. This file is read by both compilers:
 * integer constants only.
 */

/** Columns of a row, 32 bits each: a row is one cache line of 64 bytes, since a packet's cost is that of fetching its row. */
export const A_WORD = 0; // IPv4: the address in network order; else an id of the address table
export const B_WORD = 1;
export const PORTS = 2; // A's port in the high half, B's in the low half; ICMP echo: the identifier in both
export const KIND = 3; // protocol number and the bits below
export const A_PACKETS = 4; // sent by A; B's are in the next column
export const A_BYTES = 6; // sent by A, low 32 bits; B's are in the next column
export const STATE = 8;
export const LAST_SECONDS = 9; // unsigned
export const LAST_NS = 10;
export const ISN = 11; // initial sequence number (SCTP: initiate tag) of the initiator, valid with HAS_ISN
export const RECORDS = 11; // with NO_SOURCE_PORT: log records that the row stands for
export const TOTALS = 11; // of other stated connections of a log: 1 where what A or B sent is what both sent
// What every packet touches stands above.
export const FIRST_SECONDS = 12; // unsigned
export const FIRST_NS = 13;
export const BYTES_HIGH = 14; // bits 32..47 of A's bytes in the low half, of B's in the high half
/** Fingerprint of the last packet with its hop limit in the low 8 bits. */
export const LAST_PRINT = 15;
/** Of rows of logs, which have no fingerprints: bits 32..47 of A's packets in the low half, of B's in the high half. */
export const PACKETS_HIGH = 15;
/** 48 bits: more than any honest log counts. */
export const MOST_HIGH = 0xffff;
export const WIDTH = 16;
/** Bits of a row's size in bytes. */
export const ROW_BITS = 6;

/** State bits. Those of a pair are for A; shifted left by the side they are for B. */
export const OPENED = 1; // sent SYN without ACK, SCTP INIT, an ICMP request, or is a log's stated initiator
export const ACCEPTED = 1 << 2; // sent SYN+ACK, SCTP INIT ACK, an ICMP reply
export const SPOKE = 1 << 4; // sent something that is part of an open connection (a segment with ACK and without SYN and RST)
export const RESET = 1 << 6; // sent RST, SCTP ABORT
export const FINISHED = 1 << 8; // sent FIN, SCTP SHUTDOWN
export const LOOKED = 1 << 10; // its first payload was looked at for L7 hints
export const CLOUD_ACCEPTED = LOOKED; // of a log, which has no payload: a cloud's own firewall let it pass
export const B_BEGAN = 1 << 12; // the first packet seen came from B
export const HAS_ISN = 1 << 13;
export const REFUSED_BY_ERROR = 1 << 14; // an ICMP error said that nobody listens there
export const UNREACHED_BY_ERROR = 1 << 15; // an ICMP error said that the way ends somewhere
export const PROHIBITED_BY_ERROR = 1 << 16; // an ICMP error said "administratively prohibited", or a log said deny or drop
export const ERROR_SENT_TO_B = 1 << 17; // with one of the three above: B sent what the error answers, so B began
export const REUSED_ADDRESS = 1 << 18; // an end's address belongs to several parties over time
export const UNCOUNTED = 1 << 19; // packets and bytes are not known (a log without counters)
export const STATED_ALLOWED = 1 << 20; // a log said that it was allowed
export const UNTIMED = 1 << 21; // a log gave no time
export const UNJUDGED = 1 << 22; // a log gave no verdict
export const PERHAPS_REPLY = 1 << 24; // a log may have stored a reply as a connection of its own
export const UNTALLIED = 1 << 23; // a log keeps one record however often the connection was made
export const SYNCED = 1 << 25; // of a pair: sent SYN, and ACK in the same or another packet
export const ORDER_UNSURE = 1 << 27; // which side of a log's halves sent first is not told
export const DENIAL_DECIDES = 1 << 28; // a log that sees several points of the way said deny: allowed at another is not arrived
export const NO_ANSWER = 1 << 29; // a log that sees both directions says that nothing came back
export const CLOUD_DENIED = 1 << 30; // a cloud's own firewall denied it, and no network policy
/** A log has one direction a record: that none in the other is there says nothing. The sign bit, which shifting fills up with. */
export const HALVES_ONLY = 1 << 31;

/** KIND bits beside the protocol number (0..255). */
export const WORDS_ARE_IDS = 1 << 8;
/** The direction is part of the key: A is the initiator (or the sender), unless INITIATOR_IS_B. */
export const ONE_WAY = 1 << 9;
export const INITIATOR_IS_B = 1 << 10;
/** As ONE_WAY, for what has replies: A sent the request, unless INITIATOR_IS_B. */
export const DIRECTED = 1 << 12;
/** A record without source port: PORTS holds the responder's port in both halves and RECORDS counts. */
export const NO_SOURCE_PORT = 1 << 11;
/** A record without source port that a log says was denied: what was allowed there is a row of its own, so that each is counted. */
export const STATED_DENIED = 1 << 13;
/** A row of a log. Its bits from ORIGIN_SHIFT on are who reported it (see Origins); ICMP, which needs them, has that in PORTS. */
export const LOGGED = 1 << 14;
export const ORIGIN_SHIFT = 16;
export const ICMP_TYPE_SHIFT = 16;
export const ICMP_CODE_SHIFT = 24;

/** Why a packet is in no connection: places in SKIP_REASONS. */
export const ARP = 0;
export const UPKEEP = 1;
export const NOT_IP = 2;
export const CUT = 3;
export const MALFORMED = 4;
export const ORPHAN_FRAGMENT = 5;
export const LINK_TYPE = 6;
export const OUTSIDE_WINDOW = 7;
export const TOO_DEEP = 8;
export const ICMP_ERROR = 9;
export const SKIPS = 10;

/** Link types (tcpdump.org/linktypes.html) that are read. */
export const LINK_NULL = 0;
export const LINK_ETHERNET = 1;
export const LINK_RAW_BSD = 12;
export const LINK_RAW_OPENBSD = 14;
export const LINK_RAW = 101;
export const LINK_LOOP = 108;
export const LINK_LINUX_SLL = 113;
export const LINK_IPV4 = 228;
export const LINK_IPV6 = 229;
export const LINK_LINUX_SLL2 = 276;

/** IP protocol numbers (IANA assigned internet protocol numbers) that the program treats by name. */
export const ICMP = 1;
export const IGMP = 2;
export const IP_IN_IP = 4;
export const TCP = 6;
export const UDP = 17;
export const IPV6_IN_IP = 41;
export const GRE = 47;
export const AH = 51;
export const ICMPV6 = 58;
export const NO_NEXT_HEADER = 59;
export const SCTP = 132;
export const UDPLITE = 136;

export const DNS_PORT = 53;

/** 32-bit words of the kernel's state that the program reads and writes, beside its calls. */
export const SIZE = 0; // rows of the table
export const SIDE = 1; // the side that sent the packet of the latest `locate`: 0 for A, 1 for B
export const HAS_EPOCHS = 2; // 1: `isReused` and `changedHands` are to be asked
export const EVERY_REQUEST = 3; // 1: the first request of every connection is kept, not only one for a client, server and port
export const COPIES_EXPECTED = 4; // 1: packets may be captured at several places, so copies are looked for
export const COPIES = 6; // packets that were copies, a 64-bit float
export const SKIPPED = 8; // packets that were skipped, a 64-bit float for each reason
export const STATE_WORDS = SKIPPED + 2 * SKIPS;

/** Clients take their ports from above the system ports (RFC 6335 section 6). */
export const FIRST_CLIENT_PORT = 1024;

/** How a connection ended, by what the record itself says: places in OUTCOMES. */
export const ESTABLISHED = 0;
export const REFUSED = 1;
export const UNANSWERED = 2;
export const DROPPED = 3;
export const UNKNOWN = 4;
export const OUTCOME_COUNT = 5;

/** Flags of a row while rows are joined, a byte each. */
export const DIALLED = 1; // the responder's address and port are translated to a backend
export const FROM_NODE = 2; // the initiator's address is a node's: perhaps a pod or a client hidden by source NAT
export const JOINED = 4; // another view of the connection was found
export const COARSE = 8; // cannot be told from others of its connection: what reporters say of them is compared by counts

/** What was asked of an address while rows are joined, 32-bit words; ends are protocol * 65536 + port + 1, 0: none. */
export const SERVED_END = 0; // the end that it was last found to serve
export const DIALLED_END = 1; // the end for which it was last asked whether it is translated
export const ANSWER = 2;
export const OWNER = 3; // 0: not asked, or the two below
export const IS_NODE = 1;
export const IS_NO_NODE = 2;
export const FACT_WORDS = 4;

/** Tuples of a table that lie together, by the bits that number them. */
export const CHUNK_CELL_BITS = 16;

/** Columns of a connection, 32 bits each. What it is one of: */
export const SOURCE = 0;
export const SOURCE_EPOCH = 1;
export const DESTINATION = 2;
export const DESTINATION_EPOCH = 3;
export const VIA = 4; // -1: none
export const PORT_PAIR = 5; // dialled port in the high half, destination port (or ICMP type and code) in the low half
export const PROTOCOL = 6;
export const KEY_WORDS = 7;
/** What is known of it: 0 at first. */
export const TRAITS = 7;
export const COUNT = 8; // a 64-bit float, as the next ones
export const PACKETS = 10;
export const BYTES = 12;
export const ATTEMPTS = 14; // by how they ended
export const STARTED_SECONDS = 24; // unsigned; with TIMED
export const STARTED_NS = 25;
export const ENDED_SECONDS = 26;
export const ENDED_NS = 27;
export const ARRIVES_FROM = 28; // -1: the source's own
export const SOURCE_PORT = 29; // plus two; 0: none was added yet
export const CONNECTION_WORDS = 32;

/** The source port where a connection's rows have several, or it is not told. */
export const SEVERAL_PORTS = -1;

/** Traits of a connection. */
export const TIMED = 1;
export const SEEN = 1 << 1; // its initiator was seen to begin
export const WITHOUT_COUNTS = 1 << 2; // of some of its packets nobody counted
export const WITHOUT_TALLY = 1 << 3; // how often it was made is not told
export const DOUBTFUL = 1 << 4; // there was a row that may be a reply
export const SURE = 1 << 5; // there was another row
export const IN_CLOUD_DENIED = 1 << 6;
export const STATED = 1 << 7; // a log stated one of them

/** Pieces of text around what is written of a connection alone (src/report/connectionJson.ts). */
export const TEXT_COUNT = 0;
export const TEXT_PACKETS = 1;
export const TEXT_BYTES = 2;
export const TEXT_FIRST = 3;
export const TEXT_LAST = 4;
export const TEXT_QUOTE = 5;
export const TEXT_NULL = 6;
export const TEXT_INGRESS = 7;
export const TEXT_DIRECTIONS = 8; // inferred, seen
export const TEXT_ATTEMPTS = 10; // by how they ended
export const TEXT_OBSERVED = 15;
export const TEXT_SOURCE = 20;
export const TEXT_DESTINATION = 21;
