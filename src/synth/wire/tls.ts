import { copyFiller, NOISE } from "./filler.ts";
import { chars16, fieldLength, fieldText, latin1Bytes, MOST_HOST } from "./text.ts";

/*
 * TLS 1.3 as it looks from outside (RFC 8446): hellos in the clear, then records of opaque bytes. Lengths are those of a handshake
 * with X25519, AES-128-GCM and a certificate chain of usual size.
 */

export const RECORD_HEADER = 5;
/** Content type and authentication tag of an encrypted record (RFC 8446 section 5.2). */
export const RECORD_TAIL = 17;
export const APPLICATION_DATA = 23;
const VERSION = "\x03\x03";
const RANDOM = 32;

const CHANGE_CIPHER_SPEC = `\x14${VERSION}\x00\x01\x01`;
const SUITES = "\x00\x06\x13\x01\x13\x02\x13\x03";
const COMPRESSION = "\x01\x00";
const KEY_SHARE_HEADER = "\x00\x1d\x00\x20";

/** What stands behind the server name: all but the 32 bytes of the key, which end the hello. */
const CLIENT_EXTENSIONS = [
  extension(0x0a, vector(chars16(0x1d) + chars16(0x17) + chars16(0x18))), // supported_groups: x25519, secp256r1, secp384r1
  extension(0x0d, vector([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601].map(chars16).join(""))), // signature_algorithms
  extension(0x10, vector("\x02h2\x08http/1.1")), // application_layer_protocol_negotiation
  extension(0x2b, "\x02\x03\x04"), // supported_versions: TLS 1.3
  extension(0x2d, "\x01\x01"), // psk_key_exchange_modes: with (EC)DHE
  `\x00\x33${chars16(2 + 4 + RANDOM)}${chars16(4 + RANDOM)}${KEY_SHARE_HEADER}`, // key_share
].join("");
/** Record and handshake headers, version, random, session id, suites, compression, length of extensions. */
const CLIENT_FIXED = RECORD_HEADER + 4 + 2 + RANDOM + 1 + RANDOM + SUITES.length + COMPRESSION.length + 2;

const SERVER_EXTENSIONS = `${extension(0x2b, "\x03\x04")}\x00\x33${chars16(4 + RANDOM)}${KEY_SHARE_HEADER}`;
const SERVER_FIXED = RECORD_HEADER + 4 + 2 + RANDOM + 1 + RANDOM + 2 + 1 + 2 + SERVER_EXTENSIONS.length + RANDOM;

/** Encrypted records of the server: EncryptedExtensions, Certificate, CertificateVerify, Finished. */
const SERVER_RECORDS = [32, 2890, 281, 53];
/** The client's Finished. */
const CLIENT_RECORD = 53;

export const SERVER_OPENING_LENGTH =
  SERVER_FIXED + CHANGE_CIPHER_SPEC.length + SERVER_RECORDS.reduce((sum, length) => sum + RECORD_HEADER + length, 0);
export const CLIENT_FINISHED_LENGTH = CHANGE_CIPHER_SPEC.length + RECORD_HEADER + CLIENT_RECORD;

/** Returns a ClientHello in its record. `noise`: where in NOISE its random bytes begin. */
export function clientHello(serverName: string, noise: number): Uint8Array {
  const name = serverName === "" ? "" : serverNameExtension(fieldText(serverName, MOST_HOST));
  const extensions = name + CLIENT_EXTENSIONS;
  const length = CLIENT_FIXED + extensions.length + RANDOM;
  const bytes = latin1Bytes(
    `${recordHeader(0x16, length - RECORD_HEADER).replace(VERSION, "\x03\x01")}${helloHeader(1, length)}${" ".repeat(RANDOM)}\x20${" ".repeat(RANDOM)}` +
      `${SUITES}${COMPRESSION}${chars16(extensions.length + RANDOM)}${extensions}${" ".repeat(RANDOM)}`,
  );
  fillRandom(bytes, noise, noise + RANDOM);
  copyFiller(NOISE, noise + 2 * RANDOM, bytes, length - RANDOM, RANDOM);
  return bytes;
}

/** Returns the length of `clientHello`. */
export function clientHelloLength(serverName: string): number {
  const name = serverName === "" ? 0 : 9 + fieldLength(serverName, MOST_HOST);
  return CLIENT_FIXED + name + CLIENT_EXTENSIONS.length + RANDOM;
}

/** Returns what a server answers: ServerHello, ChangeCipherSpec (RFC 8446 appendix D.4) and its encrypted handshake. */
export function serverOpening(clientNoise: number, noise: number): Uint8Array {
  const bytes = new Uint8Array(SERVER_OPENING_LENGTH);
  bytes.set(
    latin1Bytes(
      `${recordHeader(0x16, SERVER_FIXED - RECORD_HEADER)}${helloHeader(2, SERVER_FIXED)}${" ".repeat(RANDOM)}\x20${" ".repeat(RANDOM)}` +
        `\x13\x01\x00${chars16(SERVER_EXTENSIONS.length + RANDOM)}${SERVER_EXTENSIONS}`,
    ),
  );
  fillRandom(bytes, noise, clientNoise + RANDOM);
  copyFiller(NOISE, noise + RANDOM, bytes, SERVER_FIXED - RANDOM, RANDOM);
  bytes.set(latin1Bytes(CHANGE_CIPHER_SPEC), SERVER_FIXED);
  let at = SERVER_FIXED + CHANGE_CIPHER_SPEC.length;
  for (const length of SERVER_RECORDS) at = putOpaqueRecord(bytes, at, length, noise + at);
  return bytes;
}

/** Returns what ends the handshake: the client's ChangeCipherSpec and Finished. */
export function clientFinished(noise: number): Uint8Array {
  const bytes = new Uint8Array(CLIENT_FINISHED_LENGTH);
  bytes.set(latin1Bytes(CHANGE_CIPHER_SPEC));
  putOpaqueRecord(bytes, CHANGE_CIPHER_SPEC.length, CLIENT_RECORD, noise);
  return bytes;
}

function putOpaqueRecord(bytes: Uint8Array, at: number, length: number, noise: number): number {
  bytes.set(latin1Bytes(recordHeader(APPLICATION_DATA, length)), at);
  for (let done = 0; done < length; done += 1024) {
    copyFiller(NOISE, noise + done, bytes, at + RECORD_HEADER + done, Math.min(1024, length - done));
  }
  return at + RECORD_HEADER + length;
}

/** Fills the random of a hello and its session id, which the server repeats. */
function fillRandom(bytes: Uint8Array, random: number, sessionId: number): void {
  copyFiller(NOISE, random, bytes, RECORD_HEADER + 4 + 2, RANDOM);
  copyFiller(NOISE, sessionId, bytes, RECORD_HEADER + 4 + 2 + RANDOM + 1, RANDOM);
}

function recordHeader(type: number, length: number): string {
  return `${String.fromCharCode(type)}${VERSION}${chars16(length)}`;
}

/** Handshake header and version; `length` is that of the whole record. */
function helloHeader(type: number, length: number): string {
  return `${String.fromCharCode(type)}\x00${chars16(length - RECORD_HEADER - 4)}${VERSION}`;
}

/** RFC 6066 section 3. */
function serverNameExtension(name: string): string {
  return extension(0, vector(`\x00${vector(name)}`));
}

function extension(type: number, data: string): string {
  return `${chars16(type)}${vector(data)}`;
}

/** A vector with a length of two bytes before it (RFC 8446 section 3.4). */
function vector(data: string): string {
  return `${chars16(data.length)}${data}`;
}
