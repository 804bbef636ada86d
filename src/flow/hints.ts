/** A request line and what of its headers is known. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly host?: string;
  /** All headers that rules may look at, where the source tells them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What was seen above the transport of one connection. */
export interface L7Hint {
  readonly http?: HttpRequest;
  readonly tls?: { readonly serverName: string };
  readonly dns?: { readonly query: string };
  /** The log says that it was denied. */
  readonly refused?: true;
}

/** Different requests that are kept of one row; further ones make what rules say of requests uncertain. */
const MOST = 256;

/** L7 hints by row of the flow table: of each row every different one, up to a bound. */
export class L7Hints {
  readonly #first = new Map<number, L7Hint>();
  readonly #more = new Map<number, Map<string, L7Hint>>();
  readonly #cut = new Set<number>();
  readonly #counts = new Map<number, number>();

  has(row: number): boolean {
    return this.#first.has(row);
  }

  /** Returns the first hint of a row: what reports show. */
  first(row: number): L7Hint | undefined {
    return this.#first.get(row);
  }

  /** Returns all hints of a row. */
  all(row: number): L7Hint[] {
    const first = this.#first.get(row);
    return first === undefined ? [] : [first, ...(this.#more.get(row)?.values() ?? [])];
  }

  /** Returns on how many connections of a row something was seen. */
  countOf(row: number): number {
    return this.#counts.get(row) ?? 0;
  }

  /** Reports whether there were more different hints than are kept. */
  isCut(row: number): boolean {
    return this.#cut.has(row);
  }

  add(row: number, hint: L7Hint): void {
    this.#counts.set(row, this.countOf(row) + 1);
    this.addFurther(row, hint);
  }

  /** Adds a hint of a connection that is counted already. */
  addFurther(row: number, hint: L7Hint): void {
    const first = this.#first.get(row);
    if (first === undefined) {
      this.#first.set(row, hint);
      return;
    }
    const key = JSON.stringify(hint);
    if (key === JSON.stringify(first)) return;
    let more = this.#more.get(row);
    if (more === undefined) this.#more.set(row, (more = new Map()));
    if (more.size >= MOST && !more.has(key)) this.#cut.add(row);
    else more.set(key, hint);
  }

  /** Files what is known of a row under a key of another collection. */
  moveTo(other: L7Hints, row: number, key: number): void {
    for (const hint of this.all(row)) other.addFurther(key, hint);
    other.#counts.set(key, other.countOf(key) + this.countOf(row));
    if (this.#cut.has(row)) other.#cut.add(key);
  }

  /** The rows of which something is known. */
  rows(): Iterable<number> {
    return this.#first.keys();
  }

  values(): Iterable<L7Hint> {
    return this.#first.values();
  }
}
