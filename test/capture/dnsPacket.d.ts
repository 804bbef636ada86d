/** What the tests use of the npm package dns-packet, which has no types of its own. */
declare module "dns-packet" {
  export interface Answer {
    readonly type: string;
    readonly name: string;
    readonly ttl?: number;
    readonly data: unknown;
  }
  export interface Question {
    readonly type: string;
    readonly name: string;
    readonly class?: string;
  }
  export interface Packet {
    readonly type: "query" | "response";
    readonly id?: number;
    readonly flags?: number;
    readonly questions: readonly Question[];
    readonly answers?: readonly Answer[];
    readonly additionals?: readonly Answer[];
  }
  const dns: {
    encode(packet: Packet): Uint8Array;
    readonly answer: { encode(answer: Answer): Uint8Array };
    readonly name: { encodingLength(name: string): number };
    readonly RECURSION_DESIRED: number;
  };
  export default dns;
}
