#!/bin/sh
# Installs the flow tools that `npm run test:tools` runs (nfdump, softflowd, argus and ra) on Debian and Ubuntu. They come with services
# that would watch this machine's network: of what is installed here none is started, nor will it be with the machine.
set -eu
export PATH="$PATH:/usr/sbin:/sbin"
programs='nfdump nfpcapd nfcapd softflowd argus ra'
missing() {
  for program in $programs; do command -v "$program" >/dev/null || return 0; done
  return 1
}
installed() { # installed PACKAGE
  [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = 'install ok installed' ]
}
if missing; then
  run=
  if [ "$(id -u)" -ne 0 ]; then run="sudo -E"; fi
  command -v apt-get >/dev/null || {
    echo "error: the flow tools come as Debian packages, and there is no apt-get" >&2
    exit 1
  }
  export DEBIAN_FRONTEND=noninteractive
  # What was there before may be somebody's collector: it is left as it is.
  packages=
  services=
  for package in nfdump softflowd argus-server argus-client; do
    installed "$package" && continue
    packages="$packages $package"
    case $package in
      argus-server) services="$services argus" ;;
      argus-client) ;;
      *) services="$services $package" ;;
    esac
  done
  # 101: services are not to be started (invoke-rc.d(8), policy-rc.d).
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap '$run rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $run tee "$policy" >/dev/null
    $run chmod 755 "$policy"
  fi
  $run apt-get update -q
  # shellcheck disable=SC2086 # one word a package
  $run apt-get install -y -q --no-install-recommends $packages
  if command -v systemctl >/dev/null; then
    for service in $services; do $run systemctl disable --quiet "$service" 2>/dev/null || true; done
  fi
  if missing; then
    echo "error: the packages nfdump, softflowd, argus-server and argus-client did not bring all of $programs" >&2
    exit 1
  fi
fi
nfdump -V
softflowd -h 2>&1 | sed -n 's/^This is \(softflowd version [^ ]*\)\. .*/\1/p'
argus -h 2>&1 | grep -m1 Version
