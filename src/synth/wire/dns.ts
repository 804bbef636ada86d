import { type Address, isIPv4, wordsOfAddress } from "../../net/address.ts";
import type { Exchange } from "../conversation.ts";
import { chars16, chars32, fieldText } from "./text.ts";

export type DnsExchange = Extract<Exchange, { kind: "dns" }>;

/** Most bytes of a message over UDP without EDNS and over TCP (RFC 1035 section 4.2). */
const MOST_OVER_UDP = 512;
const MOST_OVER_TCP = 65_535;

const HEADER = 12;
const TYPE_AND_CLASS = 4;
/** A pointer to the question's name, type, class, time to live and length of the data. */
const RECORD_HEAD = 12;
const MOST_LABEL = 63;
const MOST_NAME = 255; // with its lengths and the root
const TTL_SECONDS = 30;

const QUERY = 0;
const RESPONSE = 0x8000;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const NAME_ERROR = 3;

/** Returns a query (RFC 1035 section 4.1). */
export function dnsQuery(exchange: DnsExchange, id: number): string {
  return message(exchange, id, QUERY | RECURSION_DESIRED, 0);
}

/** Returns the length of `dnsQuery`. */
export function dnsQueryLength({ name }: DnsExchange): number {
  return HEADER + nameLength(name) + TYPE_AND_CLASS;
}

/** Returns the answer. Over UDP it is cut, and says so, where not all addresses fit (RFC 2181 section 9). */
export function dnsAnswer(exchange: DnsExchange, id: number, overTcp: boolean): string {
  const addresses = answersOf(exchange);
  const kept = Math.min(addresses.length, room(exchange, overTcp));
  const cut = kept < addresses.length ? TRUNCATED : 0;
  const flags = RESPONSE | RECURSION_DESIRED | RECURSION_AVAILABLE | cut | (exchange.missing ? NAME_ERROR : 0);
  const records = addresses.slice(0, kept).map((address) => addressRecord(exchange, address));
  return message(exchange, id, flags, kept) + records.join("");
}

/** Returns the length of `dnsAnswer`. */
export function dnsAnswerLength(exchange: DnsExchange, overTcp: boolean): number {
  const kept = Math.min(answersOf(exchange).length, room(exchange, overTcp));
  return dnsQueryLength(exchange) + kept * (RECORD_HEAD + addressBytes(exchange));
}

function message({ name, type }: DnsExchange, id: number, flags: number, answers: number): string {
  const counts = `${chars16(1)}${chars16(answers)}${chars32(0)}`;
  const question = labelsOf(name).map((label) => String.fromCharCode(label.length) + label);
  return `${chars16(id)}${chars16(flags)}${counts}${question.join("")}\x00${recordType(type)}\x00\x01`;
}

function addressRecord(exchange: DnsExchange, address: Address): string {
  const words = wordsOfAddress(address);
  const data = exchange.type === "A" ? chars32(words[3]) : words.map(chars32).join("");
  return `\xc0\x0c${recordType(exchange.type)}\x00\x01${chars32(TTL_SECONDS)}${chars16(data.length)}${data}`;
}

function recordType(type: DnsExchange["type"]): string {
  return type === "A" ? "\x00\x01" : "\x00\x1c";
}

function addressBytes({ type }: DnsExchange): number {
  return type === "A" ? 4 : 16;
}

/** The addresses that a record of the asked type can hold. */
function answersOf({ answers, missing, type }: DnsExchange): readonly Address[] {
  if (missing || answers.length === 0) return [];
  return answers.filter((address) => isIPv4(address) === (type === "A"));
}

function room(exchange: DnsExchange, overTcp: boolean): number {
  return Math.floor(((overTcp ? MOST_OVER_TCP : MOST_OVER_UDP) - dnsQueryLength(exchange)) / (RECORD_HEAD + addressBytes(exchange)));
}

/** The labels of a name, those left out that would not fit (RFC 1035 section 2.3.4). */
function labelsOf(name: string): string[] {
  let length = 1;
  return name
    .split(".", MOST_NAME)
    .filter((label) => {
      if (label.length === 0 || length + label.length + 1 > MOST_NAME) return false;
      length += Math.min(label.length, MOST_LABEL) + 1;
      return true;
    })
    .map((label) => fieldText(label, MOST_LABEL));
}

function nameLength(name: string): number {
  // A whole name of short labels, as nearly every one: a length before each label takes the place of its dot.
  if (isPlain(name)) return name.length + 2;
  return labelsOf(name).reduce((sum, label) => sum + 1 + label.length, 1);
}

function isPlain(name: string): boolean {
  if (name.length > MOST_NAME - 2) return false;
  let label = 0;
  for (let i = 0; i < name.length; i++) {
    if (name.charCodeAt(i) !== 0x2e) {
      if (++label > MOST_LABEL) return false;
    } else {
      if (label === 0) return false;
      label = 0;
    }
  }
  return label > 0;
}
