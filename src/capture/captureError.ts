export type CaptureProblemCode = "unreadable" | "not-a-capture" | "empty" | "unsupported";

/** A refusal of a capture or a flow log as a whole. The message is one line and names the file. */
export class CaptureError extends Error {
  readonly code: CaptureProblemCode;

  constructor(code: CaptureProblemCode, message: string) {
    super(message);
    this.name = "CaptureError";
    this.code = code;
  }
}
