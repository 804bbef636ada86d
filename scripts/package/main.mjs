// npm run package [-- --only PLATFORM…] [--out FOLDER]: the archives of all platforms with one binary each, their sums, krew's manifest,
// the bill of materials and the licences of all that is in them. Runs on Linux; the same checkout gives the same bytes.
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundleProgram, writeProgram } from "../bundle.mjs";
import { addCodeCaches } from "../codeCache.mjs";
import { makeTarGz, makeZip } from "./archive.mjs";
import { bundledPackages, licenseTexts } from "./bundled.mjs";
import { executableName, extractNode, FLAGS, makeExecutable } from "./executable.mjs";
import { makeKrewManifest } from "./krewManifest.mjs";
import { makeSbom } from "./sbom.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PLUGIN = "kubectl-kguardian";
const read = (path) => readFileSync(join(ROOT, path), "utf8");
const runtimes = JSON.parse(readFileSync(join(import.meta.dirname, "platforms.json"), "utf8"));

function parseCommandLine() {
  const { values } = parseArgs({ options: { only: { type: "string", multiple: true }, out: { type: "string", default: "packages" } } });
  const names = runtimes.platforms.map(({ name }) => name);
  const unknown = values.only?.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`no platform \`${unknown}\`; there are ${names.join(", ")}`);
  const platforms = runtimes.platforms.filter(({ name }) => values.only?.includes(name) ?? true);
  return { platforms, out: resolve(values.out) };
}

/** The Node that makes executables: of the packages' version, for this machine. */
function builderPlatform() {
  const arch = { x64: "amd64", arm64: "arm64" }[process.arch];
  const platform = runtimes.platforms.find((each) => each.os === process.platform && each.arch === arch);
  if (platform?.os !== "linux") throw new Error("packages are built on Linux, on amd64 or arm64");
  return platform;
}

async function makePackages({ platforms, out }, work) {
  const { chunks, metafile } = await bundleProgram();
  const builderFolder = join(work, "builder");
  const builder = extractNode(builderPlatform(), runtimes.node, builderFolder);
  const program = join(work, "program");
  mkdirSync(program);
  writeProgram(chunks, program);
  addCodeCaches(builder, program, FLAGS);
  const bundled = bundledPackages(metafile);
  const licenses = licenseTexts(ROOT, bundled, readFileSync(join(builderFolder, "LICENSE"), "utf8"));
  const lock = JSON.parse(read("package-lock.json"));
  const { version } = JSON.parse(read("package.json"));

  mkdirSync(out, { recursive: true });
  const archives = [];
  const writeOut = (name, bytes) => writeFileSync(join(out, name), bytes);
  await eachOf(platforms, availableParallelism(), async (platform) => {
    const folder = join(work, platform.name);
    const bytes = await makeExecutable({ platform, program, builder, node: extractNode(platform, runtimes.node, folder), work });
    rmSync(folder, { recursive: true });
    const files = [
      { name: executableName(platform), bytes, executable: true },
      { name: "LICENSE", bytes: readFileSync(join(ROOT, "LICENSE")) },
      { name: "THIRD-PARTY-LICENSES", bytes: Buffer.from(licenses) },
    ];
    const isWindows = platform.os === "windows";
    const archive = isWindows ? await makeZip(files) : await makeTarGz(files);
    const name = `${PLUGIN}-v${version}-${platform.name}.${isWindows ? "zip" : "tar.gz"}`;
    writeOut(name, archive);
    const sha256 = createHash("sha256").update(archive).digest("hex");
    archives.push({ platform, name, sha256, files: files.map((file) => file.name) });
    console.log(`${name}   ${(archive.length / 1e6).toFixed(1)} MB (${(bytes.length / 1e6).toFixed(1)} MB unpacked)`);
  });
  archives.sort((a, b) => platforms.indexOf(a.platform) - platforms.indexOf(b.platform));

  writeOut("THIRD-PARTY-LICENSES", licenses);
  writeOut(`${PLUGIN}.cdx.json`, `${JSON.stringify(makeSbom(lock, bundled, { ...runtimes, platforms }), null, 2)}\n`);
  const manifest = makeKrewManifest(read("krew-manifest.yaml"), version, archives);
  writeOut("krew-manifest.yaml", manifest);
  // krew takes a manifest only from a file with the plugin's name.
  writeOut("kguardian.yaml", manifest);
  writeOut("SHA256SUMS", archives.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(""));
}

/** Runs a task for each item, a few at a time; the first failure is everybody's. */
async function eachOf(items, atOnce, task) {
  const rest = [...items];
  const worker = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await task(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const work = mkdtempSync(join(tmpdir(), "kguardian-package-"));
try {
  await makePackages(parseCommandLine(), work);
} catch (error) {
  if (process.env.KGUARDIAN_DEBUG) console.error(error);
  console.error(`package: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
