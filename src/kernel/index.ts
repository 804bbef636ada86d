// The kernel's calls. Built by scripts/kernel.mjs.
export { beginObservation, decode, expectCopies } from "./decoder";
export { add, addBytes, addPackets, begin, count, indexRows, locate, touch } from "./flowTable";
export { allocate, release, state } from "./memory";
