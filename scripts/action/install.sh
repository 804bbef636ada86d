#!/usr/bin/env bash
# First step of the action (action.yml): puts the program on the runner and tells its path as output `program`. With KGUARDIAN_BINARY
# that is a program that is there; else the archive of release KGUARDIAN_VERSION for this platform, whose SHA-256 must be
# KGUARDIAN_SHA256, or where that is empty what the release's SHA256SUMS says. Nothing is unpacked before the sum is right.
set -euo pipefail
fail() {
  echo "::error title=kguardian::$1"
  exit 2
}

if [ -n "${KGUARDIAN_BINARY:-}" ]; then
  [ -x "$KGUARDIAN_BINARY" ] || fail "input binary: no program of that path"
  # Later steps may work elsewhere.
  directory=$(cd -- "$(dirname -- "$KGUARDIAN_BINARY")" && pwd)
  echo "program=$directory/$(basename -- "$KGUARDIAN_BINARY")" >>"$GITHUB_OUTPUT"
  exit 0
fi

# Both become part of an address: what they may hold is narrow.
version=${KGUARDIAN_VERSION#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || fail "input version: not a version such as 0.1.0"
[[ $KGUARDIAN_REPOSITORY =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] || fail "input repository: not OWNER/NAME"
case $RUNNER_OS in
  Linux) os=linux ;;
  macOS) os=darwin ;;
  Windows) os=windows ;;
  *) fail "there is no package for $RUNNER_OS" ;;
esac
case $RUNNER_ARCH in
  X64) architecture=amd64 ;;
  ARM64) architecture=arm64 ;;
  *) fail "there is no package for $RUNNER_ARCH" ;;
esac
case $os in windows) suffix=.zip ;; *) suffix=.tar.gz ;; esac

folder=$RUNNER_TEMP/kguardian/program
mkdir -p "$folder"
cd "$folder"
release=https://github.com/$KGUARDIAN_REPOSITORY/releases/download/v$version
fetch() { # fetch NAME: saves a file of the release
  curl --fail --silent --show-error --location --proto =https --retry 3 --output "$1" "$release/$1" ||
    fail "$release/$1 could not be downloaded"
}
fetch SHA256SUMS
# Lines are SUM, blanks (and an asterisk for binary), NAME. Names are told by their ends, so that this holds for every version.
line=$(grep -E "^[0-9a-f]{64} [ *][A-Za-z0-9._-]+$os-$architecture\\$suffix\$" SHA256SUMS | head -n 1) || true
[ -n "$line" ] || fail "the SHA256SUMS of v$version name no archive for $os-$architecture"
archive=${line:66}
sum=${KGUARDIAN_SHA256:-${line:0:64}}
[[ $sum =~ ^[0-9a-f]{64}$ ]] || fail "input sha256: not 64 hexadecimal digits"
fetch "$archive"
if command -v sha256sum >/dev/null; then actual=$(sha256sum "$archive"); else actual=$(shasum -a 256 "$archive"); fi
actual=${actual#\\}
[ "${actual%% *}" = "$sum" ] || fail "$archive has SHA-256 ${actual%% *} instead of $sum"
case $suffix in
  .zip) unzip -q -o "$archive" ;;
  *) tar -xzf "$archive" ;;
esac
program=
for name in kubectl-kguardian kubectl-kguardian.exe; do
  # Archives may or may not have a folder at their top.
  for path in "$name" */"$name" */*/"$name"; do [ -f "$path" ] && program=$folder/$path && break 2; done
done
[ -n "$program" ] || fail "$archive holds no kubectl-kguardian"
echo "program=$program" >>"$GITHUB_OUTPUT"
