// What of other people's is in a binary: the npm packages that esbuild took code of, by its own account, and what the lock file and the
// packages themselves say of them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PACKAGE_FOLDER = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//;
const LICENSE_FILE = /^(licen[cs]e|copying|notice)/i;

/** Returns where the packages lie whose code is in the output (`node_modules/…`, as in a lock file), sorted. */
export function bundledPackages(metafile) {
  const folders = new Set();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = PACKAGE_FOLDER.exec(path)?.[1];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return [...folders].sort();
}

/** Returns the licences of all that is bundled and of Node as one text. A package without a licence's text is an error. */
export function licenseTexts(root, folders, nodeLicense) {
  const sections = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const files = readdirSync(join(root, folder)).filter((file) => LICENSE_FILE.test(file));
    if (files.length === 0) throw new Error(`${folder} has no licence file`);
    const texts = files.sort().map((file) =>
      readFileSync(join(root, folder, file), "utf8")
        .replaceAll("\r\n", "\n")
        .trim(),
    );
    return `${name} ${version} (${license})\n\n${texts.join("\n\n")}`;
  });
  const intro = "kubectl-kguardian contains Node.js and code of the packages below, under these licences.";
  return [intro, ...sections, `Node.js\n\n${nodeLicense.trim()}`].join(`\n\n${"=".repeat(80)}\n\n`) + "\n";
}
