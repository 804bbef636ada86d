// One executable of a platform's Node and the program: Node's single executable applications
// (https://nodejs.org/api/single-executable-applications.html), which one platform's Node makes for every other.
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { signAdHoc } from "./machO.mjs";
import { extractNpmPackage } from "./npmPackage.mjs";

/** As in bin/kubectl-kguardian, which says why; but V8 can change its collector only before it starts, so `gen` has the others' one. */
export const FLAGS = ["--single-threaded-gc", "--min-semi-space-size=4", "--v8-pool-size=1"];

/** The name of a platform's executable, in its archive and in the package of its Node. */
export const executableName = ({ os }, name = "kubectl-kguardian") => (os === "windows" ? `${name}.exe` : name);

/** Puts a platform's Node, and where the package has it the licence, into a folder; returns the path of the executable. */
export function extractNode(platform, version, folder) {
  const executable = `bin/${executableName(platform, "node")}`;
  const files = platform.os === "windows" ? [executable] : [executable, "LICENSE"];
  extractNpmPackage({ name: platform.package, version, integrity: platform.integrity, files, folder });
  return join(folder, executable);
}

/**
 * Returns the bytes of the executable. `builder` is a Node of the same version for this machine, `node` the platform's; `program` is the
 * folder with the program (codeCache.mjs), `work` takes the files in between.
 */
export async function makeExecutable({ platform, program, builder, node, work }) {
  const output = join(work, `${platform.name}.out`);
  const configuration = {
    // Relative paths: the loader's is kept in the executable, which must not tell where it was built.
    main: "loader.cjs",
    mainFormat: "commonjs",
    executable: node,
    output,
    disableExperimentalSEAWarning: true,
    execArgv: FLAGS,
    // What somebody set in NODE_OPTIONS is for Node programs, which this is to nobody.
    execArgvExtension: "none",
    assets: Object.fromEntries(
      readdirSync(program)
        .filter((name) => name !== "loader.cjs")
        .sort()
        .map((name) => [name, name]),
    ),
  };
  const file = join(work, `${platform.name}.json`);
  writeFileSync(file, JSON.stringify(configuration));
  try {
    await promisify(execFile)(builder, ["--build-sea", file], { cwd: program });
  } catch (error) {
    throw new Error(
      `${platform.name}: ${String(error.stderr || error.message)
        .trim()
        .split("\n")
        .at(-1)}`,
    );
  }
  const bytes = readFileSync(output);
  return platform.os === "darwin" ? signAdHoc(bytes, "kubectl-kguardian") : bytes;
}
