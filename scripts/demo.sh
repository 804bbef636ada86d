#!/bin/sh
# Judges the shop of fixtures/shop under policies with two mistakes, then under the mended ones.
# Exits 0 only if the first run finds the mistakes (exit code 1) and the second finds nothing (exit code 0).
set -u
cd "$(dirname "$0")/.." || exit 2

# Runs the plugin as kubectl would, shows the command and its exit code, and fails unless the code is the expected one ($1).
simulate() {
  expected=$1
  shift
  printf '$ kubectl kguardian simulate %s\n' "$*"
  output=$(./bin/kubectl-kguardian simulate "$@")
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
