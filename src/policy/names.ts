/*
 * The syntax of names, as the API server checks it (k8s.io/apimachinery pkg/util/validation). Each function returns what is
 * wrong, to be written behind the name, or undefined.
 */

const LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
const DNS_LABEL = new RegExp(`^${LABEL}$`);
const DNS_SUBDOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const QUALIFIED = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** RFC 1123 label: the name of a namespace. */
export function dnsLabelFault(name: string): string | undefined {
  if (name.length > 63) return "is longer than 63 characters";
  return DNS_LABEL.test(name) ? undefined : "is not an RFC 1123 label (a-z, 0-9 and -, ending in neither -)";
}

/** RFC 1123 subdomain: the name of most objects. */
export function dnsSubdomainFault(name: string): string | undefined {
  if (name.length > 253) return "is longer than 253 characters";
  return DNS_SUBDOMAIN.test(name) ? undefined : "is not an RFC 1123 subdomain (a-z, 0-9, - and dots between)";
}

/** A label or annotation key: `name` or `prefix/name`. */
export function labelKeyFault(key: string): string | undefined {
  const slash = key.indexOf("/");
  const name = key.slice(slash + 1);
  if (slash >= 0 && (slash === 0 || dnsSubdomainFault(key.slice(0, slash)))) return "is no label key: the part before / must be a DNS name";
  if (name.length > 63) return "is no label key: its name is longer than 63 characters";
  return QUALIFIED.test(name) ? undefined : "is no label key (letters, digits, -, _ and dots, with a letter or digit at both ends)";
}

export function labelValueFault(value: string): string | undefined {
  if (value.length > 63) return "is no label value: it is longer than 63 characters";
  if (value === "" || QUALIFIED.test(value)) return undefined;
  return "is no label value (letters, digits, -, _ and dots, with a letter or digit at both ends)";
}

/** IANA_SVC_NAME (RFC 6335, 5.1): the name of a port. */
export function portNameFault(name: string): string | undefined {
  if (name.length === 0) return "is no port name: it is empty";
  if (name.length > 15) return "is no port name: it is longer than 15 characters";
  if (!/^[-a-z0-9]+$/.test(name)) return "is no port name: only a-z, 0-9 and - may be in it";
  if (!/[a-z]/.test(name)) return "is no port name: it needs a letter (a port number is written without quotes)";
  return /^-|-$|--/.test(name) ? "is no port name: - may stand neither at an end nor twice in a row" : undefined;
}
