export {
  ARP,
  CUT,
  ICMP_ERROR,
  LINK_TYPE,
  MALFORMED,
  NOT_IP,
  ORPHAN_FRAGMENT,
  OUTSIDE_WINDOW,
  TOO_DEEP,
  UPKEEP,
} from "../kernel/constants.ts";

/** Why a packet is in no connection. The order is that of the numbers in kernel/constants.ts; the texts are those of reports (`inputs[].skipped`). */
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
