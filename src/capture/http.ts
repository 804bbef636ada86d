/** An HTTP/1 request as far as policies judge it (RFC 9112). */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly host?: string;
}

const MAX_HEAD = 8192;

/** Returns the request whose head begins at `start`, when its request line is whole in this segment, else undefined. */
export function readHttpRequest(bytes: Uint8Array, start: number, end: number): HttpRequest | undefined {
  const text = latin1(bytes, start, Math.min(end, start + MAX_HEAD));
  const lineEnd = text.indexOf("\r\n");
  if (lineEnd < 0) return undefined;
  const match = /^([A-Z]{3,16}) (\S+) HTTP\/1\.[01]$/.exec(text.slice(0, lineEnd));
  if (!match) return undefined;
  const headEnd = text.indexOf("\r\n\r\n", lineEnd);
  const headers = text.slice(lineEnd, headEnd < 0 ? text.lastIndexOf("\r\n") : headEnd);
  const host = /\r\nhost:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n|$)/i.exec(headers + "\r\n")?.[1];
  return { method: match[1], path: match[2], ...(host ? { host } : {}) };
}

/** Reports whether a payload may begin a request: only then is a string made of it. */
export function mayBeHttpRequest(bytes: Uint8Array, start: number, end: number): boolean {
  if (start + 16 > end) return false;
  const first = bytes[start];
  const second = bytes[start + 1];
  return first >= 0x41 && first <= 0x5a && second >= 0x41 && second <= 0x5a;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}
