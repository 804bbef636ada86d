import { latin1Text } from "./latin1.ts";

const HANDSHAKE = 0x16;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;

/**
 * Returns the server name of a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3) that begins at `start`, or
 * undefined where there is none or it is not whole in this segment. A hello that goes on in the next segment still gives
 * its name when that part is here.
 */
export function readServerName(bytes: Uint8Array, start: number, end: number): string | undefined {
  // Record header (5), handshake header (4), version (2), random (32), session id length (1).
  if (start + 44 > end || bytes[start] !== HANDSHAKE || bytes[start + 1] !== 3 || bytes[start + 5] !== CLIENT_HELLO) return undefined;
  const u16 = (at: number) => (at + 2 <= end ? (bytes[at] << 8) | bytes[at + 1] : Number.NaN);
  let at = start + 43 + 1 + bytes[start + 43];
  at += 2 + u16(at); // cipher suites
  if (!(at < end)) return undefined;
  at += 1 + bytes[at]; // compression methods
  const extensionsEnd = Math.min(end, at + 2 + u16(at));
  at += 2;
  while (at + 4 <= extensionsEnd) {
    const length = u16(at + 2);
    if (u16(at) === SERVER_NAME) return readHostName(bytes, at + 4, Math.min(end, at + 4 + length), u16);
    at += 4 + length;
  }
  return undefined;
}

function readHostName(bytes: Uint8Array, at: number, end: number, u16: (at: number) => number): string | undefined {
  // list length (2), name type (1, 0 = host_name), name length (2)
  if (at + 5 > end || bytes[at + 2] !== 0) return undefined;
  const length = u16(at + 3);
  if (length === 0 || length > 255 || at + 5 + length > end) return undefined;
  const name = latin1Text(bytes, at + 5, at + 5 + length).toLowerCase();
  return /^[a-z0-9_.-]+$/.test(name) ? name : undefined;
}
