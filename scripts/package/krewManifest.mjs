// krew's manifest (https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/): krew-manifest.yaml of the repository says what the
// plugin is, and this adds where each platform's archive lies.
import { executableName } from "./executable.mjs";

const RELEASES = "https://github.com/kguardian-dev/kguardian/releases/download";
const NO_PLATFORMS = /^ {2}version: .*$|^ {2}platforms: \[\]\n/gm;

/** Fills the template in. `archives` are platforms with the name and the SHA-256 of their archive, and the files in it. */
export function makeKrewManifest(template, version, archives) {
  const platforms = archives.map(({ platform, name, sha256, files }) => {
    const copies = files.map((file) => `    - from: ${file}\n      to: .\n`).join("");
    return `  - selector:
      matchLabels:
        os: ${platform.os}
        arch: ${platform.arch}
    uri: ${RELEASES}/v${version}/${name}
    sha256: ${sha256}
    bin: ${executableName(platform)}
    files:
${copies}`;
  });
  const filled = { version: `  version: v${version}`, platforms: `  platforms:\n${platforms.join("")}` };
  const found = new Set();
  const text = template.replace(/^#.*\n/gm, "").replace(NO_PLATFORMS, (line) => {
    const key = line.trim().split(":")[0];
    found.add(key);
    return filled[key];
  });
  if (found.size !== 2) throw new Error("krew-manifest.yaml: no line `  version:` or no line `  platforms: []`");
  return text;
}
