import { put16 } from "./pcapWriter.ts";

/** An HTTP/1.1 request. */
export function httpGreeting(host: string, item: number): Uint8Array {
  return Buffer.from(`GET /v1/items/${item} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n`);
}

/** The start of the answer whose head and body are `bytes` long. */
export function httpAnswer(bytes: number): Uint8Array {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${String(bytes - 84).padStart(7, "0")}\r\n\r\n`,
  );
}

/** A TLS ClientHello (RFC 8446 section 4.1.2) that names `host`, about 140 bytes. */
export function tlsGreeting(host: string): Uint8Array {
  const name = Buffer.from(host);
  const serverName = extension(0, Buffer.concat([uint16(name.length + 3), Uint8Array.of(0), uint16(name.length), name]));
  const protocols = Buffer.from("\x02h2\x08http/1.1", "latin1");
  const extensions = Buffer.concat([
    serverName,
    extension(43, Uint8Array.of(4, 3, 4, 3, 3)),
    extension(10, Uint8Array.of(0, 4, 0, 0x1d, 0, 0x17)),
    extension(16, Buffer.concat([uint16(protocols.length), protocols])),
  ]);
  const body = Buffer.concat([
    Uint8Array.of(3, 3),
    new Uint8Array(32).fill(0x5a),
    Uint8Array.of(0, 0, 4, 0x13, 1, 0x13, 2, 1, 0),
    uint16(extensions.length),
    extensions,
  ]);
  const handshake = Buffer.concat([Uint8Array.of(1, 0), uint16(body.length), body]);
  return Buffer.concat([Uint8Array.of(22, 3, 1), uint16(handshake.length), handshake]);
}

function extension(type: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([uint16(type), uint16(body.length), body]);
}

function uint16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  put16(bytes, 0, value);
  return bytes;
}
