import type { ManifestObject } from "../cluster/manifest.ts";
import { parsePrefix } from "../net/prefix.ts";
import { parseDuration } from "../net/time.ts";
import { dnsSubdomainFault } from "../policy/names.ts";
import { readHead } from "../policy/objectHead.ts";
import { type Fields, instead, type ObjectReader, type Path, quote, readerOf } from "../policy/objectReader.ts";
import type { Problem } from "../policy/problem.ts";
import { EXCHANGE_KINDS, PROFILE_KIND, PROFILE_VERSION, TIERS, type TrafficProfile } from "./profile.ts";
import { parsePorts, parseSpan } from "./units.ts";

/** What an object says as a profile, and what is wrong with it. */
export interface ProfileReading {
  readonly profile: TrafficProfile | undefined;
  readonly problems: readonly Problem[];
}

/** Reads an object as a TrafficProfile. With an error among the problems there is none. */
export function readProfile(object: ManifestObject): ProfileReading {
  const reader = readerOf(object);
  const { apiVersion, kind } = object.value;
  if (kind !== PROFILE_KIND)
    reader.error(["kind"], `${quote(kind)} is no traffic profile${instead(String(kind), [PROFILE_KIND], PROFILE_KIND)}`);
  else if (apiVersion !== PROFILE_VERSION)
    reader.error(["apiVersion"], `${quote(apiVersion)} is no version of it: it is ${PROFILE_VERSION}`);
  else {
    const { spec } = readHead(reader, object);
    if (spec !== undefined) readSpec(new FieldReader(reader), spec);
  }
  const profile = reader.hasErrors() ? undefined : (withoutNulls(object.value) as unknown as TrafficProfile);
  return { profile, problems: reader.problems };
}

/** null is the same as absent. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([key, each]) => [key, withoutNulls(each)]),
  );
}

/** The longest list of anything in a profile, and the most ports of a call: a profile is written by hand. */
const MOST_ITEMS = 1000;
/** The largest payload of one request or answer, and the most requests on one connection. */
const MOST_BYTES = 2 ** 30;

type Check = (value: unknown, path: Path) => void;

/** Checks of fields, each with its message at the field's place. A field that is absent passes every check. */
class FieldReader {
  readonly reader: ObjectReader;

  constructor(reader: ObjectReader) {
    this.reader = reader;
  }

  /** Reads a mapping by its fields' checks; `required` ones must be there. */
  fields(value: unknown, path: Path, checks: Readonly<Record<string, Check>>, required: readonly string[] = []): Fields | undefined {
    const fields = this.reader.mapping(value, path, Object.keys(checks));
    if (fields === undefined) return undefined;
    for (const name of required) if ((fields[name] ?? null) === null) this.reader.error(path, `${quote(name)} is required`);
    for (const [name, check] of Object.entries(checks)) if ((fields[name] ?? null) !== null) check(fields[name], [...path, name]);
    return fields;
  }

  /** Reads a mapping of which exactly one field must be there. */
  oneOf(value: unknown, path: Path, checks: Readonly<Record<string, Check>>): void {
    const fields = this.fields(value, path, checks);
    if (fields === undefined) return;
    const given = Object.keys(checks).filter((name) => (fields[name] ?? null) !== null);
    if (given.length !== 1 && Object.keys(fields).every((name) => name in checks))
      this.reader.error(
        path,
        `takes one of ${Object.keys(checks).map(quote).join(", ")}, found ${given.length === 0 ? "none" : given.map(quote).join(", ")}`,
      );
  }

  list(check: Check): Check {
    return (value, path) => {
      const items = this.reader.list(value, path);
      if (items === undefined) return;
      if (items.length > MOST_ITEMS) this.reader.error(path, `has ${items.length} items: at most ${MOST_ITEMS} are taken`);
      else
        items.forEach((item, i) => {
          if (item === null) this.reader.error([...path, i], "is empty");
          else check(item, [...path, i]);
        });
    };
  }

  number(least: number, most: number): Check {
    return (value, path) => {
      if (typeof value !== "number" || !(value >= least && value <= most))
        this.reader.error(path, `${quote(shown(value))} is no number from ${least} to ${most}`);
    };
  }

  integer(least: number, most: number): Check {
    return (value, path) => {
      if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most)
        this.reader.error(path, `${quote(shown(value))} is no whole number from ${least} to ${most}`);
    };
  }

  word(words: readonly string[]): Check {
    return (value, path) => {
      const text = this.reader.text(value, path);
      if (text !== undefined && !words.includes(text))
        this.reader.error(path, `${quote(text)} is not known${instead(text, words, words.join(", "))}`);
    };
  }

  text(fault: (text: string) => string | undefined = () => undefined): Check {
    return (value, path) => {
      const text = this.reader.text(value, path);
      const message = text === undefined ? undefined : fault(text);
      if (message !== undefined) this.reader.error(path, `${quote(text)} ${message}`);
    };
  }

  get flag(): Check {
    return (value, path) => {
      if (typeof value !== "boolean") this.reader.error(path, `${quote(shown(value))} is neither true nor false`);
    };
  }

  labels: Check = (value, path) => {
    for (const [key, label] of Object.entries(this.reader.mapping(value, path) ?? {})) this.reader.text(label, [...path, key]);
  };

  /** A number is no duration: its unit would be a guess. */
  duration(least = 0): Check {
    return (value, path) => {
      const seconds = typeof value === "string" ? parseDuration(value) : undefined;
      if (seconds === undefined) this.reader.error(path, `${quote(shown(value))} is no duration (500ms, 30s, 5m, 1h30m)`);
      else if (seconds < least) this.reader.error(path, `${quote(value)} is less than ${least}s`);
    };
  }

  span: Check = (value, path) => {
    if (typeof value !== "string" || parseSpan(value, 1) === undefined)
      this.reader.error(path, `${quote(shown(value))} is neither a duration (30s, 5m) nor a share of the run (25%)`);
  };

  /** Something that comes again and again cannot take no time. */
  cycle: Check = (value, path) => {
    if (typeof value === "string" && parseSpan(value, 1) === 0) this.reader.error(path, `${quote(value)} is no time at all`);
    else this.span(value, path);
  };

  spread(check: Check): Check {
    return (value, path) => void this.fields(value, path, { median: check, sigma: this.number(0, 5) }, ["median"]);
  }

  /** Shares of which one at least must be more than nothing. */
  shares(names: readonly string[]): Check {
    return (value, path) => {
      const shares = this.fields(value, path, Object.fromEntries(names.map((name) => [name, this.number(0, 1e9)])));
      if (shares !== undefined && !names.some((name) => typeof shares[name] === "number" && shares[name] > 0))
        this.reader.error(path, "no share in it is more than 0");
    };
  }
}

function shown(value: unknown): string {
  return typeof value === "object" ? "a mapping or list" : String(value);
}

function readSpec(f: FieldReader, spec: Fields): void {
  f.fields(
    spec,
    ["spec"],
    {
      description: f.text(),
      duration: f.duration(0.001),
      rate: f.number(0.001, 1e6),
      arrivals: (value, path) => readArrivals(f, value, path),
      families: f.shares(["IPv4", "IPv6"]),
      lookups: f.flag,
      retries: (value, path) => void f.fields(value, path, { count: f.integer(0, 10), after: f.duration(0.001) }, ["count", "after"]),
      calls: f.list((value, path) => readCall(f, value, path)),
      events: f.list((value, path) => readEvent(f, value, path)),
    },
    ["calls"],
  );
  if (Array.isArray(spec.calls) && spec.calls.length === 0) f.reader.error(["spec", "calls"], "is empty: there would be no traffic");
}

const ARRIVALS: Readonly<Record<string, readonly string[]>> = {
  poisson: [],
  even: [],
  diurnal: ["period", "peak", "depth"],
  burst: ["every", "length", "factor"],
};

function readArrivals(f: FieldReader, value: unknown, path: Path): void {
  const all = { period: f.cycle, peak: f.span, depth: f.number(0, 1), every: f.cycle, length: f.span, factor: f.number(1, 1000) };
  const { distribution } = f.reader.mapping(value, path) ?? {};
  if (typeof distribution !== "string" || !Object.hasOwn(ARRIVALS, distribution)) {
    const names = Object.keys(ARRIVALS);
    if (typeof distribution === "string") f.word(names)(distribution, [...path, "distribution"]);
    else f.reader.error(path, `${quote("distribution")} is required: ${names.join(", ")}`);
    return;
  }
  const own = Object.entries(all).filter(([name]) => ARRIVALS[distribution].includes(name));
  const required = distribution === "burst" ? ARRIVALS.burst : [];
  f.fields(value, path, { distribution: () => undefined, ...Object.fromEntries(own) }, required);
}

function readCall(f: FieldReader, value: unknown, path: Path): void {
  const call = f.fields(
    value,
    path,
    {
      from: (each, at) =>
        f.oneOf(each, at, {
          callers: (none, place) => void f.fields(none, place, {}),
          pods: pods(f),
          nodes: nodes(f),
          external: external(f, false),
        }),
      to: (each, at) => f.oneOf(each, at, { service: service(f), pods: pods(f), nodes: nodes(f), external: external(f, true) }),
      port: (each, at) => readPort(f, each, at),
      protocol: f.word(["TCP", "UDP"]),
      weight: f.number(0, 1e9),
      order: f.word(["random", "sweep"]),
      exchange: (each, at) => readExchange(f, each, at),
      roundTrip: f.spread(f.duration(1e-6)),
      endings: f.shares(["finished", "reset", "open", "refused", "unanswered"]),
      closed: f.shares(["refused", "unanswered"]),
    },
    ["from", "to"],
  );
  const to = call?.to as Fields | undefined;
  const from = call?.from as Fields | undefined;
  if (from?.callers !== undefined && to !== undefined && to.service === undefined)
    f.reader.error([...path, "from", "callers"], "only Services have callers: name the pods, or call a service");
  if (from?.external !== undefined && to?.external !== undefined)
    f.reader.error([...path, "to", "external"], "traffic from the outside to the outside is not the cluster's");
  if ((to?.nodes !== undefined || to?.external !== undefined) && call?.port === undefined)
    f.reader.error(path, `${quote("port")} is required: nodes and the outside declare none`);
  const ports = Array.isArray(call?.port) ? call.port : [call?.port];
  const names = ports.filter((port) => typeof port === "string" && typeof parsePorts(port) === "string");
  if (names.length > 0 && (to?.nodes !== undefined || to?.external !== undefined))
    f.reader.error([...path, "port"], `${quote(names[0])}: nodes and the outside have no port names: give numbers`);
  else if (names.length > 0 && names.length < ports.length)
    f.reader.error([...path, "port"], "mixes names and numbers: write a call for each");
  const kind = (call?.exchange as Fields | undefined)?.kind;
  if (call?.protocol === "UDP" && ["http", "http2", "tls"].includes(String(kind)))
    f.reader.error([...path, "exchange", "kind"], `${quote(kind)} goes over TCP`);
}

function readPort(f: FieldReader, value: unknown, path: Path): void {
  const each = (port: unknown, at: Path) => {
    if (typeof port === "number") f.integer(1, 65535)(port, at);
    else if (typeof port !== "string")
      f.reader.error(at, `${quote(shown(port))} is no port: a number, a range (8000-8100) or a port's name`);
    else if (parsePorts(port) === undefined)
      f.reader.error(at, `${quote(port)} is no port: a number, a range (8000-8100) or a port's name`);
  };
  if (Array.isArray(value)) f.list(each)(value, path);
  else each(value, path);
}

function readExchange(f: FieldReader, value: unknown, path: Path): void {
  const bytes = f.number(0, MOST_BYTES);
  f.fields(value, path, {
    kind: f.word(EXCHANGE_KINDS),
    requests: f.list(
      (each, at) =>
        void f.fields(
          each,
          at,
          {
            method: f.text((text) => (/^[A-Z]{3,16}$/.test(text) ? undefined : "is no method: capital letters (GET)")),
            path: f.text((text) =>
              /^\/[\x21-\x7e]{0,511}$/.test(text) ? undefined : "is no path: it begins with / and has no spaces, at most 512 characters",
            ),
            status: f.integer(200, 599),
            weight: f.number(0, 1e9),
          },
          ["path"],
        ),
    ),
    host: f.text(dnsNameFault),
    names: f.list(f.text(dnsNameFault)),
    missing: f.number(0, 1),
    request: f.spread(bytes),
    response: f.spread(bytes),
    count: f.spread(f.number(1, 1000)),
    pause: f.spread(f.duration()),
  });
}

/** RFC 1035 section 2.3.4: at most 253 characters in labels of at most 63. */
function dnsNameFault(text: string): string | undefined {
  const fault = dnsSubdomainFault(text);
  return fault ?? (text.split(".").some((label) => label.length > 63) ? "has a label of more than 63 characters" : undefined);
}

function pods(f: FieldReader): Check {
  return (value, path) =>
    void f.fields(value, path, {
      namespace: f.text(),
      labels: f.labels,
      workload: f.text((text) => (/^[^/]+\/[^/]+$/.test(text) ? undefined : "is no workload: kind/name (deploy/web)")),
      kinds: f.list(f.text()),
      tier: f.word(TIERS),
      count: f.integer(1, 1e6),
    });
}

function service(f: FieldReader): Check {
  return (value, path) => void f.fields(value, path, { namespace: f.text(), name: f.text(), labels: f.labels, tier: f.word(TIERS) });
}

function nodes(f: FieldReader): Check {
  return (value, path) => void f.fields(value, path, { labels: f.labels, count: f.integer(1, 1e6) });
}

/**
 * Addresses that no host on another network has: this network, loopback, multicast, broadcast (RFC 6890 section 2.2.2, RFC 5771), and of
 * IPv6 unspecified, loopback, link-local, multicast (RFC 4291 section 2.4) and IPv4-mapped, which is IPv4 in other words.
 */
const NO_HOSTS = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8"];

function cidrFault(text: string): string | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return "is no prefix (203.0.113.0/24)";
  const { first, last, family } = prefix;
  const found = NO_HOSTS.find((each) => {
    const other = parsePrefix(each)!;
    return other.family === family && other.first <= last && first <= other.last;
  });
  return found === undefined ? undefined : `holds addresses that no host outside has (${found})`;
}

function external(f: FieldReader, isTarget: boolean): Check {
  const cidr = f.text(cidrFault);
  return (value, path) =>
    void f.fields(value, path, {
      cidrs: f.list(cidr),
      ...(isTarget ? { names: f.list(f.text(dnsNameFault)) } : {}),
      hosts: f.integer(1, 65536),
    });
}

function readEvent(f: FieldReader, value: unknown, path: Path): void {
  f.oneOf(value, path, {
    replace: (each, at) =>
      void f.fields(
        each,
        at,
        { pods: pods(f), at: f.span, length: f.span, share: f.number(0, 1), grace: f.duration(10), reuseAddresses: f.flag },
        ["pods", "at"],
      ),
    run: (each, at) => void f.fields(each, at, { pods: pods(f), every: f.cycle, length: f.span }, ["pods", "every", "length"]),
    partition: (each, at) =>
      void f.fields(each, at, { nodes: nodes(f), others: nodes(f), at: f.span, length: f.span }, ["nodes", "at", "length"]),
  });
}
