import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** Where the configuration file is, and whether somebody named it. */
export interface ConfigPlace {
  readonly path: string;
  readonly isNamed: boolean;
}

/**
 * Returns where the configuration file would be: KGUARDIAN_CONFIG (`off`: nowhere), else below XDG_CONFIG_HOME or ~/.config (XDG Base
 * Directory Specification: a relative path counts for nothing).
 */
export function configPlace(environment: NodeJS.ProcessEnv = process.env): ConfigPlace | undefined {
  const named = environment.KGUARDIAN_CONFIG;
  if (named === "off") return undefined;
  if (named) return { path: resolve(named), isNamed: true };
  const { XDG_CONFIG_HOME: folder = "" } = environment;
  const root = isAbsolute(folder) ? folder : join(environment.HOME || homedir(), ".config");
  return { path: join(root, "kguardian", "config.yaml"), isNamed: false };
}
