#!/usr/bin/env bash
# Last step of the action (action.yml): exits with what the program exited with; with KGUARDIAN_FAIL other than `true` a 1 (something
# found) is no failure. An error (2 or more) always is one.
set -euo pipefail
code=${KGUARDIAN_EXIT_CODE:-}
[[ $code =~ ^[0-9]+$ ]] || code=3
if [ "$code" = 1 ] && [ "${KGUARDIAN_FAIL:-}" != true ]; then code=0; fi
exit "$code"
