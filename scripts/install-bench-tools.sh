#!/bin/sh
# Installs what `npm run bench` compares us with, on Debian or Ubuntu:
#   libpcap-dev  headers for bench/count5.c, the plain C loop (needs a C compiler too)
#   tcpdump      reads a capture through a filter
#   tshark       counts conversations
#   time         /usr/bin/time, which the bench needs to read a child's CPU time and peak memory
# Needs root. Nothing else in the project needs these.
set -eu
export DEBIAN_FRONTEND=noninteractive
run=
if [ "$(id -u)" -ne 0 ]; then run="sudo -E"; fi
$run apt-get update -q
$run apt-get install -y -q --no-install-recommends libpcap-dev tcpdump tshark time
