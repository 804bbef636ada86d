/** What the tests use of the npm package pcap-parser, which has no types of its own. */
declare module "pcap-parser" {
  import type { EventEmitter } from "node:events";
  export interface Packet {
    readonly header: {
      readonly timestampSeconds: number;
      readonly timestampMicroseconds: number;
      readonly capturedLength: number;
      readonly originalLength: number;
    };
    readonly data: Buffer;
  }
  export function parse(input: string): EventEmitter<{ packet: [Packet]; end: []; error: [Error] }>;
}
