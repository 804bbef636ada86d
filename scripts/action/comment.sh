#!/usr/bin/env bash
# Third step of the action (action.yml): posts KGUARDIAN_MARKDOWN as the one comment of its KGUARDIAN_KEY on the pull request, or updates
# it. A comment that cannot be posted is a warning: the report stands in the job's summary, and the exit code says what was found.
set -euo pipefail
warn() {
  echo "::warning title=kguardian::$1; the report is in the summary of the job"
  exit 0
}

[ -n "${KGUARDIAN_PULL_REQUEST:-}" ] || warn "there is no pull request to comment on"
[[ $KGUARDIAN_PULL_REQUEST =~ ^[0-9]+$ ]] || warn "the pull request has no number"
# A pull request from a fork runs with a token that may only read, whatever `permissions` say.
[ "${KGUARDIAN_HEAD_REPOSITORY:-}" = "$GITHUB_REPOSITORY" ] ||
  warn "a pull request from a fork may not write comments"
[[ $KGUARDIAN_KEY =~ ^[A-Za-z0-9._-]+$ ]] || warn "input comment-key: letters, digits, dots, dashes and underscores only"
[ -s "${KGUARDIAN_MARKDOWN:-}" ] || warn "there is no report"

marker="<!-- kubectl-kguardian $KGUARDIAN_KEY -->"
body=$RUNNER_TEMP/kguardian/comment.md
# GitHub takes 65,536 characters a comment.
{
  echo "$marker"
  bash "$(dirname "$0")/cut.sh" 65000 "$KGUARDIAN_MARKDOWN"
} >"$body"

export KGUARDIAN_AUTHOR KGUARDIAN_MARKER="$marker"
# Somebody else's comment that begins with the marker is left alone: its author could change what it says later.
# shellcheck disable=SC2016 # the expression is jq's
own='.[] | select(.user.login == env.KGUARDIAN_AUTHOR and (.body | startswith(env.KGUARDIAN_MARKER))) | .id'
comments=repos/$GITHUB_REPOSITORY/issues
ids=$(gh api --paginate "$comments/$KGUARDIAN_PULL_REQUEST/comments?per_page=100" --jq "$own") ||
  warn "the comments of the pull request could not be read (permission pull-requests: write?)"
id=${ids%%$'\n'*}
if [[ $id =~ ^[0-9]+$ ]]; then
  gh api --silent --method PATCH "$comments/comments/$id" -F "body=@$body" || warn "the comment could not be updated"
else
  gh api --silent --method POST "$comments/$KGUARDIAN_PULL_REQUEST/comments" -F "body=@$body" ||
    warn "the comment could not be posted (permission pull-requests: write?)"
fi
