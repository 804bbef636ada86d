// The bill of materials as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), from the lock file: no time and no serial number, since
// the same program has the same one.

const purl = (name, version) => `pkg:npm/${name.replace("@", "%40")}@${version}`;

/** CycloneDX writes hashes in hexadecimal, lock files in base64. */
const hashes = (integrity) => [{ alg: "SHA-512", content: Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex") }];

/** An SPDX identifier, or an expression of several. */
const licenses = (license) => [/^[\w.+-]+$/.test(license) ? { license: { id: license } } : { expression: license }];

/**
 * Returns the bill of materials. `lock` is package-lock.json, `bundled` the folders of it whose code is in the program (scope
 * `required`); other packages of production are named with scope `excluded`. `runtimes` are the platforms with their Node.
 */
export function makeSbom(lock, bundled, { node, platforms }) {
  const { name, version, license, dependencies } = lock.packages[""];
  const own = purl(name, version);
  const isBundled = new Set(bundled);
  const folders = Object.keys(lock.packages).filter((folder) => {
    const { dev, optional, devOptional } = lock.packages[folder];
    return folder !== "" && (isBundled.has(folder) || !(dev || optional || devOptional));
  });
  const components = folders.map((folder) => {
    const entry = lock.packages[folder];
    const component = nameOf(folder);
    const scope = isBundled.has(folder) ? "required" : "excluded";
    const shared = { name: component.name, version: entry.version, scope, hashes: hashes(entry.integrity) };
    return {
      type: "library",
      "bom-ref": folder,
      ...(component.group === undefined ? {} : { group: component.group }),
      ...shared,
      licenses: licenses(entry.license),
      purl: purl(packageName(folder), entry.version),
    };
  });
  const runtimes = platforms.map((platform) => ({
    type: "platform",
    "bom-ref": `node/${platform.name}`,
    name: platform.package,
    version: node,
    description: `Node.js for ${platform.name}`,
    scope: "required",
    hashes: hashes(platform.integrity),
    licenses: [{ license: { id: "MIT" } }],
    purl: purl(platform.package, node),
  }));
  const known = new Set(folders);
  const direct = Object.keys(dependencies).map((dependency) => resolve(known, "", dependency));
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      component: { type: "application", "bom-ref": own, name, version, licenses: licenses(license), purl: own },
    },
    components: [...components, ...runtimes],
    dependencies: [
      { ref: own, dependsOn: [...direct.filter((ref) => ref !== undefined), ...runtimes.map((runtime) => runtime["bom-ref"])] },
      ...folders.map((folder) => {
        const { dependencies: own = {}, optionalDependencies = {}, peerDependencies = {} } = lock.packages[folder];
        const names = Object.keys({ ...own, ...optionalDependencies, ...peerDependencies });
        const refs = names.map((dependency) => resolve(known, folder, dependency)).filter((ref) => ref !== undefined);
        return { ref: folder, dependsOn: [...new Set(refs)].sort() };
      }),
    ],
  };
}

const packageName = (folder) => folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length);

function nameOf(folder) {
  const parts = packageName(folder).split("/");
  return parts.length === 1 ? { name: parts[0] } : { group: parts[0], name: parts[1] };
}

/** Finds a dependency as Node does: in the package's own node_modules, else in those of the folders above. */
function resolve(known, folder, dependency) {
  for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    const candidate = at === "" ? `node_modules/${dependency}` : `${at}/node_modules/${dependency}`;
    if (known.has(candidate)) return candidate;
    if (at === "") return undefined;
  }
}
