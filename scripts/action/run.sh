#!/usr/bin/env bash
# Second step of the action (action.yml): runs KGUARDIAN_COMMAND with reports in Markdown and SARIF, shows the table in the log and the
# Markdown in the job's summary, and tells `exit-code`, `markdown` and `sarif` as outputs. It fails only for what the inputs got wrong:
# the exit code is the last step's business, so that the report is posted first. No input is ever evaluated: lists have one item a line.
set -euo pipefail
fail() {
  echo "::error title=kguardian::$1"
  exit 2
}

arguments=()
add_each() { # add_each FLAG LINES: appends FLAG and each line that is not empty; without a FLAG the lines alone
  local line
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line%$'\r'}
    [ -n "$line" ] || continue
    [ -z "$1" ] || arguments+=("$1")
    arguments+=("$line")
  done <<<"$2"
}

work=$RUNNER_TEMP/kguardian
mkdir -p "$work"
policies=${KGUARDIAN_POLICIES:-policies}

# Puts the policies of the base into a folder, whose path it prints. Without any there, the folder says that there are none.
base_policies() {
  local folder=$work/base commit
  rm -rf "$folder"
  mkdir -p "$folder"
  if ! commit=$(git rev-parse --quiet --verify --end-of-options "$KGUARDIAN_BASE^{commit}"); then
    # actions/checkout fetches the one commit that is tested. A name that begins with a dash would be taken for a flag.
    case $KGUARDIAN_BASE in -*) fail "input base: not a commit or branch" ;; esac
    git fetch --quiet --no-tags --depth=1 origin "$KGUARDIAN_BASE" >&2 || fail "input base: the commit could not be fetched"
    commit=$(git rev-parse --verify 'FETCH_HEAD^{commit}')
  fi
  if git cat-file -e "$commit:./$policies" 2>/dev/null; then
    git archive --format=tar "$commit" -- "$policies" | tar -x -C "$folder"
  else
    mkdir -p "$folder/$policies"
    printf 'apiVersion: v1\nkind: List\nitems: []\n' >"$folder/$policies/none.yaml"
  fi
  echo "$folder/$policies"
}

case $KGUARDIAN_COMMAND in
  diff)
    case $policies in /* | -* | .. | ../* | */.. | */../*) fail "input policies: \`diff\` needs a path inside the repository" ;; esac
    [ -n "${KGUARDIAN_BASE:-}" ] || fail "input base: \`diff\` needs a commit to compare with where there is no pull request"
    old=$(base_policies)
    arguments+=("$old" "$policies")
    ;;
  simulate | coverage) arguments+=(--filename "$policies") ;;
  test)
    add_each "" "${KGUARDIAN_TESTS:-}"
    [ ${#arguments[@]} -gt 0 ] || fail "input tests: \`test\` needs files or folders with PolicyTests"
    # A flag goes before what a test says itself: none unless it was asked for.
    if [ -n "${KGUARDIAN_POLICIES:-}" ]; then arguments+=(--filename "$policies"); fi
    ;;
  *) fail "input command: not one of diff, simulate, test and coverage" ;;
esac
add_each --snapshot "${KGUARDIAN_SNAPSHOT:-}"
if [ "$KGUARDIAN_COMMAND" != test ]; then
  add_each --pcap "${KGUARDIAN_PCAP:-}"
  add_each --flows "${KGUARDIAN_FLOWS:-}"
fi
add_each "" "${KGUARDIAN_ARGS:-}"

markdown=$work/$KGUARDIAN_COMMAND.md
sarif=$work/$KGUARDIAN_COMMAND.sarif
rm -f "$markdown" "$sarif"
# Names from captures and policies stand in the output: a line that looks like a command to the runner must be none.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
code=0
"$KGUARDIAN_PROGRAM" "$KGUARDIAN_COMMAND" --report "markdown=$markdown" --report "sarif=$sarif" "${arguments[@]}" 2>&1 |
  tee "$work/log" || code=${PIPESTATUS[0]}
echo "::$token::"

[ -s "$markdown" ] || {
  # There is no report of a run that failed: its last words are shown instead, as code that nothing in them can end.
  echo "## kubectl kguardian $KGUARDIAN_COMMAND could not answer (exit code $code)"
  echo
  tail -n 20 "$work/log" | cut -c 1-500 | sed 's/^/    /'
} >"$markdown"
# A step's summary may be 1 MiB long.
bash "$(dirname "$0")/cut.sh" 1000000 "$markdown" >>"$GITHUB_STEP_SUMMARY"
{
  echo "exit-code=$code"
  echo "markdown=$markdown"
  if [ -s "$sarif" ]; then echo "sarif=$sarif"; fi
} >>"$GITHUB_OUTPUT"
