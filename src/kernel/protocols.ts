import { ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE } from "./constants";

export function hasPorts(protocol: i32): bool {
  return protocol === TCP || protocol === UDP || protocol === SCTP || protocol === UDPLITE;
}

export function isIcmp(protocol: i32): bool {
  return protocol === ICMP || protocol === ICMPV6;
}
