import { nearest } from "../policy/objectReader.ts";
import { BUILTIN_PROFILES } from "../synth/builtinProfiles.ts";
import { PROFILE_KIND, type TrafficProfile } from "../synth/profile.ts";
import { readProfile } from "../synth/readProfile.ts";
import { UsageError } from "./errors.ts";
import { readManifests, refuseErrors } from "./policies.ts";

/** Returns the profile that `--profile` means: a built-in one by its name, else the one in a file. */
export async function openProfile(text: string): Promise<TrafficProfile> {
  const builtin = BUILTIN_PROFILES.get(text);
  if (builtin !== undefined) return builtin;
  // A name without a dot or slash is no file's, unless there is one.
  if (/^[a-z0-9-]+$/i.test(text) && text !== "-") throw new UsageError(`--profile: ${unknownProfile(text)}`);
  const { objects } = await readManifests([text], false);
  const [profile, ...others] = objects.length === 1 ? objects : objects.filter(({ value }) => value.kind === PROFILE_KIND);
  if (profile === undefined) throw new UsageError(`--profile: ${text}: no ${PROFILE_KIND} in it`);
  if (others.length > 0) throw new UsageError(`--profile: ${text}: holds ${others.length + 1} profiles: give each its own file`);
  const { profile: read, problems } = readProfile(profile);
  refuseErrors(problems);
  return read!;
}

/** Returns the built-in profile of a name, for `--show-profile`. */
export function builtinProfile(name: string): TrafficProfile {
  const profile = BUILTIN_PROFILES.get(name);
  if (profile === undefined) throw new UsageError(`--show-profile: ${unknownProfile(name)}`);
  return profile;
}

function unknownProfile(name: string): string {
  const names = [...BUILTIN_PROFILES.keys()];
  const near = nearest(name, names);
  return `there is no profile \`${name}\`${near === undefined ? "" : `, did you mean \`${near}\`?`} (built in: ${names.join(", ")}; a file is named with its ending, or as ./${name})`;
}
