import { formatPrefix, makePrefix, type Prefix, parsePrefix } from "../net/prefix.ts";
import { type ObjectReader, type Path, quote } from "./objectReader.ts";

/** Reports whether a prefix lies in another of the same family, equal ones included. */
export function isInside(inner: Prefix, outer: Prefix): boolean {
  return inner.family === outer.family && inner.first >= outer.first && inner.last <= outer.last;
}

/**
 * Returns the prefix of a CIDR text, with a warning where the API server gives one too (IsValidCIDRForLegacyField): host
 * bits, leading zeros (which Go's sloppy parser takes as decimal) and IPv4-mapped IPv6.
 */
export function readCidr(reader: ObjectReader, value: unknown, path: Path): Prefix | undefined {
  const text = reader.text(value, path);
  if (text === undefined || text === "") return undefined;
  const isPlainIPv4 = /^\d{1,20}(?:\.\d{1,20}){3}\/\d{1,20}$/.test(text);
  const stripped = isPlainIPv4 ? text.replace(/(^|[./])0+(?=\d)/g, "$1") : text;
  const read = text.includes("%") ? undefined : parsePrefix(stripped);
  if (!read) {
    const hint =
      /^[\d.]+$/.test(text) && parsePrefix(`${text}/32`) ? `, did you mean \`${text}/32\`` : ", such as `10.0.0.0/8` or `fd00::/8`";
    reader.error(path, `${quote(text)} is no address block${hint}`);
    return undefined;
  }
  const isMapped = read.family === 6 && read.first >> 32n === 0xffffn && read.length >= 96;
  const prefix = isMapped ? makePrefix(read.first, read.length - 96, 4) : read;
  if (isMapped || read.hostBits || stripped !== text) reader.warning(path, `${quote(text)} means ${quote(formatPrefix(prefix))}`);
  return prefix;
}
