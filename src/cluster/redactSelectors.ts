import type { NameRedactor } from "./redactNames.ts";

/*
 * Keys of labels and selector texts as the dialects of policies write them (policy/cilium/selector.ts; policy/calico/tokens.ts and
 * expression.ts).
 */

/** Returns the values of a label that are known; undefined: nobody knows which there are. */
export type KnownValues = (key: string) => readonly string[] | undefined;

const SOURCES = new Set(["any", "k8s", "reserved", "cidr", "fqdn", "container"]);
const RESERVED = new Set([
  ...["host", "remote-node", "kube-apiserver", "world", "world-ipv4", "world-ipv6", "health", "init", "ingress", "unmanaged", "none"],
]);

/** Beginnings behind which the key of a label of the namespace or the service account stands. */
const BORROWED = ["io.cilium.k8s.namespace.labels.", "pcns.", "pcsa."];

/** Returns the pseudonym of a label's key, which may name its source (`k8s:app`) or borrow another object's label (`pcns.team`). */
export function redactKey(key: string, names: NameRedactor): string {
  const [, source, rest] = /^([A-Za-z0-9]+):([^:]*)$/.exec(key) ?? [];
  if (source === "reserved" || key.startsWith("reserved.")) {
    const role = key.slice("reserved.".length);
    return RESERVED.has(role) ? key : `${key.slice(0, "reserved.".length)}${names.name(role)}`;
  }
  if (source !== undefined) return `${SOURCES.has(source) ? source : names.literal(source)}:${redactKey(rest, names)}`;
  const beginning = BORROWED.find((each) => key.startsWith(each)) ?? "";
  return beginning + names.key(key.slice(beginning.length));
}

const MAX_SELECTOR = 1024; // policy/calico/fields.ts

const BLANKS = /[ \t]*/y;
const LABEL = /[A-Za-z0-9_./-]+/y;
const CALL = /(has|all|global)\([ \t]*/y;
const OPERATOR = /contains|starts[ \t]*with|ends[ \t]*with|not[ \t]*in|in/y;
const SIGN = /==|!=|&&|\|\||[(){},!]/y;
const TEXT = /'[^']*'|"[^"]*"/y;

const HOLDS: Readonly<Record<string, (value: string, text: string) => boolean>> = {
  c: (value, text) => value.includes(text),
  s: (value, text) => value.startsWith(text),
  e: (value, text) => value.endsWith(text),
};

/**
 * Returns a text in Calico's selector language with its keys and values replaced. `starts with` and its like, of which pseudonyms keep
 * nothing but whole parts, become the list of those known values of the label for which they hold, where that is known. A text that is
 * no selector becomes another that is none.
 */
export function redactSelector(text: string, names: NameRedactor, knownValues: KnownValues = () => undefined): string {
  const exact = rewrite(text, names, knownValues);
  const made =
    exact !== undefined && exact.length > MAX_SELECTOR && text.length <= MAX_SELECTOR ? rewrite(text, names, () => undefined) : exact;
  return made ?? `?${names.literal(text)}`;
}

function rewrite(text: string, names: NameRedactor, knownValues: KnownValues): string | undefined {
  let at = 0;
  let made = "";
  let key: string | undefined; // of the label just before
  let search: { readonly values: readonly string[]; readonly holds: (value: string, text: string) => boolean } | undefined;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  for (;;) {
    made += take(BLANKS) ?? "";
    if (at >= text.length) return search === undefined ? made : undefined;
    const sign = take(SIGN);
    const quoted = sign === undefined ? take(TEXT) : undefined;
    if (search !== undefined) {
      const { values, holds } = search;
      if (quoted === undefined) return undefined;
      made += listOf(
        values.filter((value) => holds(value, quoted.slice(1, -1))),
        names,
      );
      search = undefined;
    } else if (sign !== undefined) {
      made += sign;
    } else if (quoted !== undefined) {
      made += `${quoted[0]}${names.name(quoted.slice(1, -1))}${quoted[0]}`;
    } else if (key !== undefined) {
      const operator = take(OPERATOR);
      if (operator === undefined) return undefined;
      const values = Object.hasOwn(HOLDS, operator[0]) ? knownValues(key) : undefined;
      if (values !== undefined) search = { values, holds: HOLDS[operator[0]] };
      made += values === undefined ? operator : "in";
    } else {
      const call = take(CALL);
      const label = call === undefined || call.startsWith("has") ? take(LABEL) : "";
      if (label === undefined) return undefined;
      made += (call ?? "") + redactKey(label, names);
      if (call === undefined) key = label;
      continue;
    }
    key = undefined;
  }
}

function listOf(values: readonly string[], names: NameRedactor): string {
  return `{${values.map((value) => `'${names.name(value)}'`).join(", ")}}`;
}
