interface Entry<T> {
  readonly value: T;
  readonly number: number;
}

/** What is to come, the earliest first (a binary heap); of one time in the order in which it was added. */
export class TimeQueue<T> {
  readonly #heap: Entry<T>[] = [];
  readonly #timeOf: (value: T) => number;
  #added = 0;

  constructor(timeOf: (value: T) => number) {
    this.#timeOf = timeOf;
  }

  get first(): T | undefined {
    return this.#heap[0]?.value;
  }

  add(value: T): void {
    const heap = this.#heap;
    const entry = { value, number: this.#added++ };
    let at = heap.length;
    for (; at > 0 && this.#isBefore(entry, heap[(at - 1) >> 1]); at = (at - 1) >> 1) heap[at] = heap[(at - 1) >> 1];
    heap[at] = entry;
  }

  /** Takes the first one out. INVARIANT: there is one. */
  take(): T {
    const [{ value }] = this.#heap;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) this.#sink(last);
    return value;
  }

  /** Puts the first one where it belongs, now that its time is later. */
  postpone(): void {
    this.#sink(this.#heap[0]);
  }

  /** Puts an entry in the place of the first, and then where it belongs. */
  #sink(entry: Entry<T>): void {
    const heap = this.#heap;
    const size = heap.length;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#isBefore(heap[child + 1], heap[child])) child++;
      if (!this.#isBefore(heap[child], entry)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = entry;
  }

  #isBefore(a: Entry<T>, b: Entry<T>): boolean {
    const first = this.#timeOf(a.value);
    const second = this.#timeOf(b.value);
    return first < second || (first === second && a.number < b.number);
  }
}
