import type { Exchange } from "../conversation.ts";
import { fieldLength, fieldText, MOST_HOST, MOST_METHOD, MOST_PATH } from "./text.ts";

export type HttpExchange = Extract<Exchange, { kind: "http" | "http2" }>;

const VERSION_AND_HOST = " HTTP/1.1\r\nHost: ";
const USER_AGENT = "\r\nUser-Agent: kguardian-synth\r\nAccept: */*\r\n";
const TYPE_AND_LENGTH = "Content-Type: text/plain\r\nContent-Length: ";
const LENGTH = "Content-Length: ";
const STATUS_LINE = "HTTP/1.1 ";
const END = "\r\n";

/** RFC 9110 section 15, the statuses that programs send. */
const REASONS: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "Switching Protocols",
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Returns how many bytes of body an answer has: none after HEAD, and none with 1xx, 204 and 304 (RFC 9112 section 6.3). */
export function answerBody({ method, status, response }: HttpExchange): number {
  return method === "HEAD" || hasNoContent(status) ? 0 : response;
}

/** Returns the head of a request (RFC 9112 section 3). */
export function requestHead({ method, path, host, request }: HttpExchange): string {
  const line = `${fieldText(method, MOST_METHOD)} ${fieldText(path, MOST_PATH)}${VERSION_AND_HOST}${fieldText(host, MOST_HOST)}${USER_AGENT}`;
  return `${line}${request > 0 ? `${TYPE_AND_LENGTH}${request}${END}` : isMeantToHaveBody(method) ? `${LENGTH}0${END}` : ""}${END}`;
}

/** Returns the length of `requestHead`. */
export function requestHeadLength({ method, path, host, request }: HttpExchange): number {
  const fields = fieldLength(method, MOST_METHOD) + 1 + fieldLength(path, MOST_PATH) + fieldLength(host, MOST_HOST);
  const body =
    request > 0 ? TYPE_AND_LENGTH.length + digits(request) + END.length : isMeantToHaveBody(method) ? LENGTH.length + 1 + END.length : 0;
  return fields + VERSION_AND_HOST.length + USER_AGENT.length + body + END.length;
}

/** Returns the head of an answer (RFC 9112 section 4). After HEAD it tells the length of what GET would have given. */
export function answerHead({ status, response }: HttpExchange): string {
  const content = hasNoContent(status) ? "" : response > 0 ? `${TYPE_AND_LENGTH}${response}${END}` : `${LENGTH}0${END}`;
  return `${STATUS_LINE}${statusText(status)} ${REASONS[status] ?? ""}${END}${content}${END}`;
}

/** Returns the length of `answerHead`. */
export function answerHeadLength({ status, response }: HttpExchange): number {
  const prefix = response > 0 ? TYPE_AND_LENGTH.length : LENGTH.length;
  const content = hasNoContent(status) ? 0 : prefix + digits(response) + END.length;
  return STATUS_LINE.length + 3 + 1 + (REASONS[status]?.length ?? 0) + END.length + content + END.length;
}

/** Returns a status as three digits. */
export function statusText(status: number): string {
  return String(status).padStart(3, "0").slice(0, 3);
}

function hasNoContent(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

/** RFC 9110 section 8.6: such requests tell their length even where it is 0. */
function isMeantToHaveBody(method: string): boolean {
  return method === "POST" || method === "PUT" || method === "PATCH";
}

function digits(value: number): number {
  let count = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) count++;
  return count;
}
