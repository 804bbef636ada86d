import type { L7Hint } from "../flow/hints.ts";

/** What links that give access hold in a path: long, and of letters of both cases and digits. */
const TOKEN_LENGTH = 20;
const RANDOM = new RegExp(`^(?=.*\\d)(?=.*[a-z])(?=.*[A-Z])[0-9A-Za-z_.~=%-]{${TOKEN_LENGTH},}$`);

/**
 * Returns what reports show of a request: method, path and host. What captures and logs hold besides may be anybody's password: the
 * query and the headers are left out, and parts of the path that look like a token.
 */
export function shownRequest({ http, tls, dns }: L7Hint): Record<string, unknown> {
  return {
    ...(http === undefined
      ? {}
      : { http: { method: http.method, path: shownPath(http.path), ...(http.host === undefined ? {} : { host: http.host }) } }),
    ...(tls === undefined ? {} : { tls }),
    ...(dns === undefined ? {} : { dns }),
  };
}

function shownPath(path: string): string {
  // Nearly all paths are too short for a token, and have nothing else that is left out.
  if (path.length < TOKEN_LENGTH && !/[?#@]/.test(path)) return path;
  // A request to a proxy names the whole URL, which may hold a user and password (RFC 9112 section 3.2.2).
  const [plain, ...query] = path.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1…@").split(/[?#]/);
  const parts = plain.split("/").map((part) => (RANDOM.test(part) ? "…" : part));
  return `${parts.join("/")}${query.length > 0 ? "?…" : ""}`;
}
