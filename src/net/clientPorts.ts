import { FIRST_CLIENT_PORT } from "../kernel/constants.ts";

export { FIRST_CLIENT_PORT } from "../kernel/constants.ts";

/** Where the systems that run clusters begin to take clients' ports from (Linux: net.ipv4.ip_local_port_range; RFC 6335: 49152). */
export const FIRST_EPHEMERAL_PORT = 32768;

/** Reports whether a packet goes from a port as servers have them to one as clients have them: servers' seldom are of that range. */
export function looksLikeReply(sourcePort: number, destinationPort: number): boolean {
  return (
    (sourcePort < FIRST_CLIENT_PORT && destinationPort >= FIRST_CLIENT_PORT) ||
    (sourcePort < FIRST_EPHEMERAL_PORT && destinationPort >= FIRST_EPHEMERAL_PORT)
  );
}
