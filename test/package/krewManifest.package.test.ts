import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { load } from "js-yaml";
import { expect, inject, test } from "vitest";
import { krewFaults } from "./krew.ts";
import { archiveName, PLATFORMS, readArchive, VERSION } from "./packages.ts";

const packages = inject("packages");
const path = join(packages, "kguardian.yaml");
const text = readFileSync(path, "utf8");

const archives = new Map<string, { sha256: string; files: string[] }>();
/** What lies at an address is what was built under its name. */
function download(uri: string) {
  const file = join(packages, basename(uri));
  if (uri === "" || !existsSync(file)) return undefined;
  const known = archives.get(file);
  if (known !== undefined) return known;
  const archive = {
    sha256: createHash("sha256").update(readFileSync(file)).digest("hex"),
    files: readArchive(file).map(({ name }) => name),
  };
  archives.set(file, archive);
  return archive;
}

test("krew takes the manifest", () => {
  expect(krewFaults(path, text, download)).toEqual([]);
  expect(readFileSync(join(packages, "krew-manifest.yaml"), "utf8")).toBe(text);
});

test("it is for this version, with every platform once", () => {
  const { spec } = load(text) as {
    spec: { version: string; platforms: { selector: { matchLabels: { os: string; arch: string } }; uri: string }[] };
  };
  expect(spec.version).toBe(`v${VERSION}`);
  expect(spec.platforms.map(({ selector: { matchLabels }, uri }) => [`${matchLabels.os}-${matchLabels.arch}`, uri])).toEqual(
    PLATFORMS.map((platform) => [
      platform,
      `https://github.com/kguardian-dev/kguardian/releases/download/v${VERSION}/${archiveName(platform)}`,
    ]),
  );
});

/** Each with one mistake: what to change, into what, and the fault that is to be found. */
const MISTAKES: readonly (readonly [string | RegExp, string, string])[] = [
  ["v1alpha2", "v1", "apiVersion is not krew.googlecontainertools.github.com/v1alpha2"],
  ["kind: Plugin", "kind: Plugins", "kind is not Plugin"],
  ["name: kguardian", "name: nul", "the name nul is not allowed"],
  ["name: kguardian", "name: guardian", "the file is not guardian.yaml"],
  ["version: v", "version: ", "version is not v and a semantic version"],
  ["homepage:", "home:", "spec has no field home"],
  ["shortDescription: ", `shortDescription: ${"very ".repeat(20)}`, "shortDescription has a line over 70"],
  ["arch: arm64", "arch: amd64", "two platforms are for linux/amd64"],
  ["os: windows", "os: plan9", "platform 4 is for no machine that krew knows"],
  ["arch: amd64", "cpu: amd64", "platform 0 is for no machine that krew knows"],
  [/sha256: ./, "sha256: X", "platform 0: sha256 is no sum"],
  [/sha256: (.)(.*)/, `sha256: ${"0".repeat(64)}`, "platform 0: sha256 is not the archive's"],
  ["uri: https://", "uri: http://", "platform 0: uri is no tar.gz or zip over https"],
  ["linux-amd64.tar", "linux-amd65.tar", "platform 0: there is no https://"],
  ["bin: kubectl-kguardian", "bin: kguardian", "platform 0: bin kguardian is not among the files"],
  ["from: kubectl-kguardian.exe", "from: kubectl-kguardian", "platform 4: kubectl-kguardian is not in the archive"],
  [/ {4}- from: LICENSE\n {6}to: \.\n/, "", "platform 0: krew's index wants the licence to be installed"],
  ["to: .", "to: ../..", "platform 0: ../.. leaves the plugin's folder"],
];

test.each(MISTAKES)("and none with %s as %s", (from, to, fault) => {
  const wrong = text.replace(from, to);
  expect(wrong).not.toBe(text);
  expect(krewFaults(path, wrong, download)).toContainEqual(expect.stringContaining(fault));
});
