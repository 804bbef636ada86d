// The kernel's calls. Built by scripts/kernel.mjs.
export {
  addGaps,
  addRows,
  beginAdding,
  fileCoarse,
  internConnection,
  internRow,
  makeConnections,
  outcomeOf,
  timesOf,
} from "./connections";
export { beginObservation, decode, expectCopies } from "./decoder";
export { findDirections } from "./directions";
export { add, addBytes, addPackets, begin, count, indexRows, locate, touch } from "./flowTable";
export { allocate, release, state } from "./memory";
export { beginJoin, findIds } from "./rows";
export { beginText, dropText, endText, putConnection, putText, textAddress, textLength } from "./text";
export { cellOf, copyTuples, countTuples, releaseTuples } from "./tuples";
export { joinViews, rootOf, unite } from "./views";
