import type { FlowRows } from "./flowRows.ts";
import type { LoggedParties, LoggedParty } from "./parties.ts";

/**
 * Returns for each address-table id the one that stands for the same end: what one log calls by its pod, another log and the
 * capture by its address alone. Where an address is several parties' (over time, or to several observers), each stays its own.
 * Undefined where no log says anything of any end.
 */
export function canonicalEnds(table: FlowRows, parties: LoggedParties): Int32Array | undefined {
  const { addresses, epochs } = table;
  if (parties.size === 1) return undefined;
  if (table.size > 0) table.addressId(0, 0); // gives every row's addresses their ids
  const standing = Int32Array.from({ length: addresses.size }, (_, id) => id);
  const byPlain = new Map<number, number[]>();
  for (let id = 0; id < standing.length; id++) {
    if (addresses.tagOf(id) === 0) continue;
    const plain = addresses.plainOf(id);
    const ids = byPlain.get(plain);
    if (ids === undefined) byPlain.set(plain, [id]);
    else ids.push(id);
  }
  const partyOf = (id: number) => parties.get(addresses.tagOf(id));
  for (const [plain, ids] of byPlain) {
    // What was dialled on the way is no part of who the end is.
    const named = ids.filter((id) => !isOnlyVia(partyOf(id)));
    const richest = named.toSorted((x, y) => wordsOf(partyOf(y)) - wordsOf(partyOf(x)) || x - y)[0];
    const areOne = named.every((id) => agree(partyOf(id), partyOf(richest)));
    for (const id of ids)
      if (isOnlyVia(partyOf(id))) standing[id] = areOne && richest !== undefined && partyOf(richest).isSure !== true ? richest : plain;
    if (richest === undefined || !areOne) continue;
    for (const id of named) standing[id] = richest;
    // The broker names the pods of those rows only whose address would say somebody else.
    const isOthers = partyOf(richest).isSure === true || epochs?.isReused(plain, true) === true;
    if (!isOthers && plain < standing.length) standing[plain] = richest;
  }
  return standing;
}

function isOnlyVia({ pod, labels, via }: LoggedParty): boolean {
  return via !== undefined && pod === undefined && labels === undefined;
}

function wordsOf({ pod, labels, workload, via }: LoggedParty): number {
  return (pod === undefined ? 0 : 4) + (labels === undefined ? 0 : 2) + (workload === undefined ? 0 : 1) - (via === undefined ? 0 : 0.5);
}

/** One party may be told with less; it is not told otherwise. */
function agree(a: LoggedParty, b: LoggedParty): boolean {
  if (a.pod !== undefined && b.pod !== undefined && a.pod !== b.pod) return false;
  if (a.isSure !== b.isSure) return false;
  return a.labels === undefined || b.labels === undefined || a.labels.join() === b.labels.join();
}
