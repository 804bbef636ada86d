/** What is wrong with a policy or a manifest. */
export type ManifestProblemCode =
  | "unreadable" // the file cannot be opened or is too large
  | "syntax" // not YAML or JSON
  | "not-an-object" // a document without apiVersion and kind
  | "unsupported-kind" // a policy of a dialect that is not evaluated
  | "invalid"; // the API server would refuse it

/** A refusal of an input file, with the place of its cause. The message is one line, without the place. */
export class ManifestError extends Error {
  readonly code: ManifestProblemCode;
  readonly file: string;
  readonly line: number | undefined;
  readonly column: number | undefined;

  constructor(code: ManifestProblemCode, message: string, file: string, line?: number, column?: number) {
    super(message);
    this.name = "ManifestError";
    this.code = code;
    this.file = file;
    this.line = line;
    this.column = column;
  }

  /** Returns `file:line:column: message`, as compilers write it. */
  get text(): string {
    const place = [this.file, this.line, this.column].filter((part) => part !== undefined).join(":");
    return `${place}: ${this.message}`;
  }
}
