#!/usr/bin/env bash
# cut.sh BYTES FILE: prints a Markdown file, or where it is longer than BYTES its first whole lines, closed where a block of code or
# <details> is open, and a line that says so. Counting bytes keeps under any limit of characters.
set -euo pipefail
LC_ALL=C awk -v limit="$1" '
  function closing() { return (fence == "" ? "" : fence "\n") (details > 0 ? "\n</details>\n" : "") }
  { lines[NR] = $0; bytes[NR] = length($0) + 1; total += bytes[NR] }
  END {
    note = "\n_… cut here: the whole report is in the output of the job._\n"
    whole = total <= limit
    used = 0
    for (i = 1; i <= NR; i++) {
      # 200: what closing and the note need.
      if (!whole && used + bytes[i] > limit - length(note) - 200) { printf "%s%s", closing(), note; exit }
      used += bytes[i]
      print lines[i]
      if (match(lines[i], /^```+/)) {
        ticks = substr(lines[i], 1, RLENGTH)
        if (fence == "") fence = ticks
        else if (lines[i] == fence) fence = ""
      } else if (fence == "" && lines[i] ~ /^<details>/) details++
      else if (fence == "" && lines[i] ~ /^<\/details>/) details--
    }
  }' "$2"
