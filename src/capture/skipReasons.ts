/** Why a packet is in no connection. The order is that of the counters; the texts are those of reports (`inputs[].skipped`). */
export const SKIP_REASONS = [
  "arp",
  "link upkeep (IGMP, MLD, neighbour discovery)",
  "not IP",
  "cut before the addresses or ports",
  "malformed header",
  "fragment without its first",
  "unsupported link type",
  "outside the time window",
  "tunnels nested too deep",
  "ICMP error (an answer to the connection that it quotes)",
] as const;

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
