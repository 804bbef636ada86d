/**
 * Returns 32 random-looking bits, unsigned, of a conversation's entropy and a salt that says what they are for. For one salt no
 * two entropies give the same bits (each step can be undone), so connections that reuse a 5-tuple differ in sequence numbers.
 */
export function mix(entropy: number, salt: number): number {
  let bits = (entropy ^ Math.imul(salt, 0x9e3779b1)) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Salts of `mix`: what the bits are for. Exchanges take the numbers from EXCHANGE on. */
export const CLIENT_SEQUENCE = 1;
export const SERVER_SEQUENCE = 2;
export const CLIENT_LANE = 3;
export const SERVER_LANE = 4;
export const CLIENT_HELLO = 5;
export const SERVER_HELLO = 6;
export const EXCHANGE = 16;
