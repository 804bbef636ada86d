/**
 * Returns the cells of one line of CSV (RFC 4180 section 2): cells in double quotes may hold the separator, and two quotes for one.
 * A quoted cell that goes on in the next line is not read as one.
 */
export function splitCsv(line: string, separator = ","): string[] {
  if (!line.includes('"')) return line.split(separator);
  const cells: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] === '"') {
      let cell = "";
      let from = at + 1;
      for (;;) {
        const quote = line.indexOf('"', from);
        if (quote < 0) {
          cell += line.slice(from);
          at = line.length;
          break;
        }
        cell += line.slice(from, quote);
        if (line[quote + 1] !== '"') {
          at = quote + 1;
          break;
        }
        cell += '"';
        from = quote + 2;
      }
      const next = line.indexOf(separator, at);
      cells.push(cell + line.slice(at, next < 0 ? line.length : next));
      if (next < 0) return cells;
      at = next + 1;
    } else {
      const next = line.indexOf(separator, at);
      cells.push(line.slice(at, next < 0 ? line.length : next));
      if (next < 0) return cells;
      at = next + 1;
    }
  }
}

/** Names of columns with their places; the first of two of one name counts. */
export function columnsOf(header: readonly string[]): ReadonlyMap<string, number> {
  const columns = new Map<string, number>();
  header.forEach((name, i) => {
    const key = name.trim();
    if (!columns.has(key)) columns.set(key, i);
  });
  return columns;
}
