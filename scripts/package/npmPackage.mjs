// Packages of the npm registry that no checkout installs, since they are large: fetched once, held against a pinned hash at each use.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const CACHE = process.env.KGUARDIAN_PACKAGE_CACHE ?? join(homedir(), ".cache/kguardian-package");

/**
 * Puts some files of a package into a folder, under their paths in the package. `integrity` is the whole archive's, as lock files write
 * it. Throws a one-line error where the registry does not have it, or has something else.
 */
export function extractNpmPackage({ name, version, integrity, files, folder }) {
  const archive = fetchArchive(name, version);
  const hash = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (hash !== integrity) {
    rmSync(archive);
    throw new Error(`${name}@${version} is ${hash}, and ${integrity} is pinned`);
  }
  mkdirSync(folder, { recursive: true });
  const members = files.map((file) => `package/${file}`);
  run("tar", ["-xzf", archive, "-C", folder, "--strip-components=1", "--no-same-owner", ...members], `${name}@${version}`);
}

/** Returns the path of the package's archive in the cache. */
function fetchArchive(name, version) {
  const archive = join(CACHE, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
  if (existsSync(archive)) return archive;
  mkdirSync(CACHE, { recursive: true });
  // Whoever builds at the same time sees a whole archive or none.
  const download = mkdtempSync(join(CACHE, "download-"));
  try {
    run("npm", ["pack", `${name}@${version}`, "--silent", "--pack-destination", download], `fetching ${name}@${version}`);
    const [file] = readdirSync(download);
    renameSync(join(download, file), archive);
    return archive;
  } finally {
    rmSync(download, { recursive: true, force: true });
  }
}

function run(command, args, what) {
  const { status, error, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split("\n").at(-1);
  throw new Error(`${what}: ${reason === "" ? `${command} ended with ${status}` : reason}`);
}
