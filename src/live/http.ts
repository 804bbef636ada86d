import { type Agent, type IncomingMessage, request as requestPlain } from "node:http";
import { type RequestOptions, request as requestSecure } from "node:https";
import type { Duplex } from "node:stream";
import { LiveError } from "./liveError.ts";

/** How long a server may take, milliseconds. */
export interface Timeouts {
  /** Without a byte, also before the first. */
  readonly idleMs: number;
  /** For a whole answer. */
  readonly totalMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = { idleMs: 30_000, totalMs: 600_000 };

/** Where requests go: an origin with what its connections need. */
export interface Server {
  /** How messages begin: "the broker http://127.0.0.1:9090". */
  readonly name: string;
  readonly url: URL;
  readonly timeouts: Timeouts;
  /** TLS material and the like, for node:https. */
  readonly options?: RequestOptions;
  readonly agent?: Agent | undefined;
  /** Opens the connection that HTTP is spoken over, where it is no socket of the system's (a port-forward). */
  readonly connect?: () => Promise<Duplex>;
  /** A pause within an answer, milliseconds, that stands for a broken connection: such a connection is not told of its other side's end. */
  readonly stallMs?: number;
}

export interface Request {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  /** Path and query, as they stand in the request line. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An answer whose body is read by whoever asked. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Chunks of the body. Throws a LiveError where it breaks off, stalls or is longer than allowed. */
  body(mostBytes: number): AsyncGenerator<Buffer, void>;
  /** Gives up on the rest of the body. */
  discard(): void;
}

/** Sends one request and returns the answer once its headers are there. Redirects are not followed: they would carry credentials off. */
export async function send(server: Server, request: Request): Promise<Answer> {
  const { name, url, timeouts, connect } = server;
  const deadline = Date.now() + timeouts.totalMs;
  const socket = connect === undefined ? undefined : await within(connect(), timeouts.idleMs, name);
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = {
      ...server.options,
      method: request.method,
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? undefined : Number(url.port),
      path: request.path,
      headers: {
        accept: "application/json",
        "accept-encoding": "identity",
        // Node says no length by itself where a DELETE has a body.
        ...(request.body === undefined ? {} : { "content-length": String(Buffer.byteLength(request.body)) }),
        ...server.options?.headers,
        ...request.headers,
      },
      // With a connection of its own, Node asks for no agent.
      ...(socket === undefined
        ? server.agent === undefined
          ? {}
          : { agent: server.agent }
        : { agent: undefined, createConnection: () => socket }),
    };
    const open = () =>
      (url.protocol === "https:" ? requestSecure : requestPlain)(options as RequestOptions, (incoming) => {
        clearTimeout(timer);
        resolve(incoming);
      });
    let outgoing: ReturnType<typeof open>;
    try {
      outgoing = open();
    } catch (error) {
      // Certificates and keys that are none are found here.
      socket?.destroy();
      reject(
        new LiveError("configuration", `${name}: certificate, key or header of the request: ${(error as Error).message.split("\n")[0]}`),
      );
      return;
    }
    const timer = setTimeout(() => outgoing.destroy(timeout(name, timeouts.idleMs)), timeouts.idleMs);
    outgoing.on("error", (error) => {
      clearTimeout(timer);
      socket?.destroy();
      reject(error instanceof LiveError ? error : failureOf(error, name));
    });
    outgoing.end(request.body);
  });
  // What was opened for one request ends with it.
  const close = () => {
    message.destroy();
    socket?.destroy();
  };
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    body: (mostBytes) => bodyOf(message, server, deadline, mostBytes, close),
    discard: close,
  };
}

async function* bodyOf(
  message: IncomingMessage,
  { name, timeouts, stallMs = Number.POSITIVE_INFINITY }: Server,
  deadline: number,
  mostBytes: number,
  close: () => void,
): AsyncGenerator<Buffer, void> {
  let total = 0;
  let timer: NodeJS.Timeout | undefined;
  const restart = () => {
    clearTimeout(timer);
    const left = Math.max(0, Math.min(timeouts.idleMs, stallMs, deadline - Date.now()));
    const why = left === stallMs ? stalled(name, stallMs) : timeout(name, left < timeouts.idleMs ? timeouts.totalMs : timeouts.idleMs);
    timer = setTimeout(() => message.destroy(why), left);
  };
  restart();
  try {
    for await (const chunk of message as AsyncIterable<Buffer>) {
      restart();
      total += chunk.length;
      if (total > mostBytes)
        throw new LiveError(
          "wrong-service",
          `${name} answers with more than ${mostBytes >= 1e6 ? `${Math.round(mostBytes / 1e6)} MB` : `${Math.round(mostBytes / 1e3)} kB`}: too much to be right`,
        );
      yield chunk;
    }
  } catch (error) {
    throw error instanceof LiveError ? error : failureOf(error as Error, name);
  } finally {
    clearTimeout(timer);
    close();
  }
}

/** Reads a whole body as text. */
export async function textOf(answer: Answer, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer.body(mostBytes)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

async function within<T>(promise: Promise<T>, ms: number, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([promise, new Promise<never>((_, reject) => (timer = setTimeout(() => reject(timeout(name, ms)), ms)))]);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns a server as messages name it: without credentials, path and query. */
export function nameOf({ protocol, host }: URL): string {
  return `${protocol}//${host}`;
}

function timeout(name: string, ms: number): LiveError {
  return new LiveError("timeout", `${name} gave no answer within ${Math.round(ms / 100) / 10} s`);
}

function stalled(name: string, ms: number): LiveError {
  return new LiveError("reset", `${name} fell silent within its answer for ${Math.round(ms / 1000)} s`);
}

const REASONS: Readonly<Record<string, readonly ["unreachable" | "reset", string]>> = {
  ECONNREFUSED: ["unreachable", "nobody listens there"],
  ENOTFOUND: ["unreachable", "no such host"],
  EAI_AGAIN: ["unreachable", "its name cannot be resolved now"],
  EHOSTUNREACH: ["unreachable", "no way there"],
  ENETUNREACH: ["unreachable", "no way there"],
  ETIMEDOUT: ["unreachable", "no answer to connecting"],
  ECONNRESET: ["reset", "the connection was reset"],
  EPIPE: ["reset", "the connection was closed"],
  EPROTO: ["unreachable", "what listens there speaks no TLS (http: instead of https:?)"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["unreachable", "its certificate is self-signed"],
  SELF_SIGNED_CERT_IN_CHAIN: ["unreachable", "its certificate's chain is not trusted"],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["unreachable", "its certificate is not trusted"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["unreachable", "its certificate's issuer is not trusted"],
  CERT_HAS_EXPIRED: ["unreachable", "its certificate has expired"],
  ERR_TLS_CERT_ALTNAME_INVALID: ["unreachable", "its certificate is for another host"],
};

function failureOf(error: Error & { code?: string; errors?: readonly { code?: string }[] }, name: string): LiveError {
  // Node tries each address of a name and joins the failures.
  const code = error.code ?? error.errors?.[0]?.code ?? "";
  const known = REASONS[code];
  if (known !== undefined) return new LiveError(known[0], `${name}: ${known[1]}`);
  if (error.message === "aborted") return new LiveError("reset", `${name}: the connection broke off within the answer`);
  if (code.startsWith("HPE_")) return new LiveError("wrong-service", `${name} does not answer in HTTP (${error.message.split("\n")[0]})`);
  return new LiveError("unreachable", `${name}: ${error.message.split("\n")[0]}`);
}
