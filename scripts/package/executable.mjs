// One executable of a platform's Node and the program: Node's single executable applications
// (https://nodejs.org/api/single-executable-applications.html), which one platform's Node makes for every other.
import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { signAdHoc } from "./machO.mjs";
import { extractNpmPackage } from "./npmPackage.mjs";

const LOADER = join(import.meta.dirname, "loader.cjs");

/** The name of a platform's executable, in its archive and in the package of its Node. */
export const executableName = ({ os }, name = "kubectl-kguardian") => (os === "windows" ? `${name}.exe` : name);

/** Puts a platform's Node, and where the package has it the licence, into a folder; returns the path of the executable. */
export function extractNode(platform, version, folder) {
  const executable = `bin/${executableName(platform, "node")}`;
  const files = platform.os === "windows" ? [executable] : [executable, "LICENSE"];
  extractNpmPackage({ name: platform.package, version, integrity: platform.integrity, files, folder });
  return join(folder, executable);
}

/** Writes chunks and loader into a folder, as `makeExecutable` wants them. */
export function writeAssets(chunks, folder) {
  mkdirSync(join(folder, "chunks"), { recursive: true });
  copyFileSync(LOADER, join(folder, "loader.cjs"));
  for (const [name, text] of chunks) writeFileSync(join(folder, "chunks", name), text);
}

/**
 * Returns the bytes of the executable. `builder` is a Node of the same version for this machine, `node` the platform's; what
 * `writeAssets` wrote lies in `folder`, which also takes the files in between.
 */
export async function makeExecutable({ platform, chunks, builder, node, folder }) {
  const output = `${platform.name}.out`;
  const configuration = {
    // Relative paths: the loader's is kept in the executable, which must not tell where it was built.
    main: "loader.cjs",
    mainFormat: "commonjs",
    executable: node,
    output,
    disableExperimentalSEAWarning: true,
    // As bin/kubectl-kguardian, which says why; but V8 can change its collector only before it starts, so `gen` has the one of the others.
    execArgv: ["--single-threaded-gc", "--min-semi-space-size=4"],
    // What somebody set in NODE_OPTIONS is for Node programs, which this is to nobody.
    execArgvExtension: "none",
    assets: Object.fromEntries([...chunks.keys()].map((name) => [name, `chunks/${name}`])),
  };
  const file = join(folder, `${platform.name}.json`);
  writeFileSync(file, JSON.stringify(configuration));
  try {
    await promisify(execFile)(builder, ["--build-sea", file], { cwd: folder });
  } catch (error) {
    throw new Error(
      `${platform.name}: ${String(error.stderr || error.message)
        .trim()
        .split("\n")
        .at(-1)}`,
    );
  }
  const bytes = readFileSync(join(folder, output));
  return platform.os === "darwin" ? signAdHoc(bytes, "kubectl-kguardian") : bytes;
}
