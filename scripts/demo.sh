#!/bin/sh
# Judges the shop of fixtures/shop under policies with two mistakes, then under the mended ones, then under policies that it generates.
# Exits 0 only if the first run finds the mistakes (exit code 1) and the others find nothing (exit code 0).
# KGUARDIAN_PROGRAM names another program to run than the checkout's: a packaged one, with its full path.
set -u
cd "$(dirname "$0")/.." || exit 2
program=${KGUARDIAN_PROGRAM:-./bin/kubectl-kguardian}

# Runs the plugin as kubectl would, shows the command and its exit code, and fails unless the code is the expected one ($1).
simulate() {
  expected=$1
  shift
  printf '$ kubectl kguardian simulate %s\n' "$*"
  output=$("$program" simulate "$@")
  code=$?
  printf '%s\n\nexit code %s\n\n' "$output" "$code"
  [ "$code" -eq "$expected" ] && return
  echo "demo: exit code $code, expected $expected" >&2
  exit 1
}

simulate 1 --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies
case $output in
  *orders.yaml*) ;;
  *)
    echo "demo: the output does not name orders.yaml" >&2
    exit 1
    ;;
esac

echo "Both mistakes are in network-policies/orders.yaml. With them mended:"
echo
simulate 0 --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f fixtures/shop/network-policies-fixed

# Policies from the same capture, proven before they are written; what they deny of it is what was left out.
policies=$(mktemp -d) || exit 2
trap 'rm -rf "$policies"' EXIT
set -- gen networkpolicy --all -n shop --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml --output-dir "$policies"
printf '$ kubectl kguardian %s\n' "$*"
"$program" "$@" || exit 1
echo
echo "The same capture under what was written:"
echo
simulate 0 --pcap fixtures/shop/monday.pcapng --snapshot fixtures/shop/cluster.yaml -f "$policies"
