/** What went wrong with a server, for callers that go on differently. */
export type LiveFailure =
  | "unreachable" // nobody listens, no such host, TLS does not trust it
  | "timeout"
  | "reset" // the connection broke off, also within an answer
  | "status" // an answer with another status than asked for
  | "unauthorized" // 401
  | "forbidden" // 403
  | "not-found" // 404
  | "conflict" // 409, 422: the server refuses the object
  | "wrong-service" // an answer that the expected server would not give
  | "configuration"; // kubeconfig, token file, URL

/** A failure of a server or of the way to it, as one line for people. Never holds a token or a body's secrets. */
export class LiveError extends Error {
  readonly code: LiveFailure;
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined;

  constructor(code: LiveFailure, message: string, status?: number) {
    super(message);
    this.name = "LiveError";
    this.code = code;
    this.status = status;
  }
}
