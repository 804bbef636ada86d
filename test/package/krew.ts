import { basename } from "node:path";
import { load } from "js-yaml";

/*
 * What krew refuses of a manifest: https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/, and the checks of its index
 * (internal/index/validation and cmd/validate-krew-manifest, which also installs every platform).
 */

const API_VERSION = "krew.googlecontainertools.github.com/v1alpha2";
/** Names of devices on Windows, which no file there may have. */
const DEVICE = /^(con|prn|aux|nul|com[1-9]|lpt[1-9])$/i;
/** krew's version begins with v; the rest is https://semver.org, with all three numbers. */
const VERSION = /^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?$/;
/** Where krew runs. */
const MACHINES = [
  "windows/386",
  "windows/amd64",
  "windows/arm64",
  "linux/386",
  "linux/amd64",
  "linux/arm",
  "linux/arm64",
  "linux/ppc64le",
  "darwin/386",
  "darwin/amd64",
  "darwin/arm64",
];
const FIELDS = {
  manifest: ["apiVersion", "kind", "metadata", "spec"],
  spec: ["version", "shortDescription", "description", "caveats", "homepage", "platforms"],
  platform: ["uri", "sha256", "selector", "files", "bin"],
};

interface Platform {
  readonly uri?: string;
  readonly sha256?: string;
  readonly bin?: string;
  readonly files?: readonly { readonly from?: string; readonly to?: string }[];
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>>; readonly matchExpressions?: unknown };
}

interface Manifest {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly name?: string };
  readonly spec?: Readonly<Record<"version" | "shortDescription" | "description" | "caveats" | "homepage", string | undefined>> & {
    readonly platforms?: readonly Platform[];
  };
}

/** An archive as krew downloads it: its SHA-256 and the paths in it; undefined where there is none. */
export type Download = (uri: string) => { readonly sha256: string; readonly files: readonly string[] } | undefined;

/** Says all that krew would refuse or warn of. Selectors are looked at as `matchLabels`, which is how this project writes them. */
export function krewFaults(path: string, text: string, download: Download): string[] {
  const manifest = load(text) as Manifest;
  const faults: string[] = [];
  const must = (holds: boolean, fault: string) => holds || faults.push(fault);
  const known = (object: object, fields: readonly string[], of: string) => {
    for (const field of Object.keys(object)) must(fields.includes(field), `${of} has no field ${field}`);
  };
  const { metadata: { name = "" } = {}, spec } = manifest;
  known(manifest, FIELDS.manifest, "a manifest");
  must(manifest.apiVersion === API_VERSION, `apiVersion is not ${API_VERSION}`);
  must(manifest.kind === "Plugin", "kind is not Plugin");
  must(/^[\w-]+$/.test(name) && !DEVICE.test(name), `the name ${name} is not allowed`);
  must(!/^kubectl|_/.test(name) && name === name.toLowerCase(), `the name ${name} is not as krew's naming guide wants it`);
  must(basename(path) === `${name}.yaml`, `the file is not ${name}.yaml`);
  if (spec === undefined) return [...faults, "no spec"];
  known(spec, FIELDS.spec, "spec");
  must(VERSION.test(spec.version ?? ""), "version is not v and a semantic version");
  must(/^https:\/\/./.test(spec.homepage ?? ""), "no homepage");
  must(/^[^\r\n]+$/.test(spec.shortDescription ?? ""), "shortDescription is not one line");
  must(!/[.!]$/.test(spec.shortDescription ?? ""), "shortDescription ends as a sentence");
  for (const [field, most] of [
    ["shortDescription", 70],
    ["description", 80],
    ["caveats", 80],
  ] as const) {
    for (const line of (spec[field] ?? "").split("\n"))
      must(line.length <= most || !line.trim().includes(" "), `${field} has a line over ${most}`);
  }
  must((spec.description ?? "") !== "", "no description");
  const platforms = spec.platforms ?? [];
  must(platforms.length > 0, "no platform");
  const taken = new Set<string>();
  for (const [index, platform] of platforms.entries()) {
    const machines = selected(platform);
    must(machines.length > 0, `platform ${index} is for no machine that krew knows`);
    for (const machine of machines) {
      must(!taken.has(machine), `two platforms are for ${machine}`);
      taken.add(machine);
    }
    known(platform, FIELDS.platform, `platform ${index}`);
    faults.push(...platformFaults(platform, download).map((fault) => `platform ${index}: ${fault}`));
  }
  return faults;
}

/** The machines that a platform's selector names; none where it has other keys. */
function selected({ selector }: Platform): string[] {
  const { matchLabels = {}, ...others } = selector ?? {};
  const keys = Object.keys(matchLabels);
  if (keys.length === 0 || Object.keys(others).length > 0 || keys.some((key) => key !== "os" && key !== "arch")) return [];
  return MACHINES.filter((machine) => {
    const [os, arch] = machine.split("/");
    return (matchLabels.os ?? os) === os && (matchLabels.arch ?? arch) === arch;
  });
}

function platformFaults({ uri = "", sha256 = "", bin = "", files }: Platform, download: Download): string[] {
  const faults: string[] = [];
  const must = (holds: boolean, fault: string) => holds || faults.push(fault);
  must(/^https:\/\/.+\.(tar\.gz|zip)$/.test(uri), "uri is no tar.gz or zip over https");
  must(/^[a-f0-9]{64}$/.test(sha256), "sha256 is no sum");
  must(files === undefined || files.length > 0, "files is empty");
  const archive = download(uri);
  if (archive === undefined) return [...faults, `there is no ${uri}`];
  must(archive.sha256 === sha256, "sha256 is not the archive's");
  // Without `files` everything is moved as it lies.
  const moved = new Set(files === undefined ? archive.files : []);
  for (const { from = "", to = "" } of files ?? []) {
    must(from !== "" && to !== "", "files wants both from and to");
    const found = archive.files.filter((file) => `/${file}` === `/${from.replace(/^\//, "")}`);
    must(found.length > 0, `${from} is not in the archive`);
    must(!to.split("/").includes(".."), `${to} leaves the plugin's folder`);
    for (const file of found) moved.add(to === "." ? basename(file) : `${to.replace(/^\.\//, "")}/${basename(file)}`);
  }
  must(bin !== "", "no bin");
  must(moved.has(bin), `bin ${bin} is not among the files`);
  must(
    [...moved].some((file) => /^LICEN[CS]E/.test(basename(file))),
    "krew's index wants the licence to be installed",
  );
  return faults;
}
