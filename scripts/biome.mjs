// Runs Biome from the package of this platform. Its npm wrapper names packages of eight platforms as optional ones, and a registry
// that lacks any of them makes a lock file that `npm ci` refuses; so the platforms' packages are depended on themselves.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";

const { platform, arch } = process;
let binary;
try {
  binary = createRequire(import.meta.url).resolve(`@biomejs/cli-${platform}-${arch}/biome`);
} catch {
  console.error(`Biome is not installed for ${platform}-${arch}: npm install --no-save @biomejs/cli-${platform}-${arch}@2.6.8`);
  process.exit(1);
}
process.exit(spawnSync(binary, process.argv.slice(2), { stdio: "inherit" }).status ?? 1);
