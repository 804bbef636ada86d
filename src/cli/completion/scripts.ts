/*
 * Scripts by which shells complete `kubectl-kguardian` when it is called by that name. Each hands the words up to the cursor to
 * `__complete` and offers what comes back. `kubectl kguardian` is completed by kubectl's own script, which asks the shim.
 */

/** Bash 3.2 and later, without the bash-completion package. */
const BASH = `# Completion of kubectl-kguardian for bash: source <(kubectl-kguardian completion bash)
__kubectl_kguardian_complete() {
  local words=() rest=\${COMP_LINE:0:COMP_POINT} piece blanks i
  # Bash parts words at = and : too, which the program does not: pieces without a blank between them are one word.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    blanks=\${rest%%[![:blank:]]*}
    rest=\${rest#"$blanks"}
    piece=\${COMP_WORDS[i]:0:\${#rest}}
    rest=\${rest:\${#piece}}
    if [[ $i -eq 0 || -n $blanks ]]; then words+=("$piece"); else words[\${#words[@]}-1]+=$piece; fi
  done
  words=("\${words[@]//[\\"\\'\\\\]/}")
  local program=\${words[0]/#\\~/$HOME} typed=\${words[\${#words[@]}-1]} line directive=0 found=()
  while IFS= read -r line; do
    case $line in :*) directive=\${line#:} ;; *) found+=("\${line%%$'\\t'*}") ;; esac
  done < <("$program" __complete "\${words[@]:1}" 2>/dev/null)
  [[ $typed == -*=* ]] && typed=\${typed#*=}
  # What is offered takes the place of what follows the last colon.
  local lead=
  [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]] && lead=\${typed%"\${typed##*:}"}
  COMPREPLY=()
  for line in \${found[@]+"\${found[@]}"}; do COMPREPLY+=("\${line#"$lead"}"); done
  ((directive & 2)) && compopt -o nospace 2>/dev/null
  ((\${#found[@]} > 0 || directive & 4)) && return
  compopt -o filenames 2>/dev/null
  local what=-f
  ((directive & 16)) && what=-d
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$what" -- "\${typed##*=}")
}
complete -F __kubectl_kguardian_complete kubectl-kguardian
`;

const ZSH = `#compdef kubectl-kguardian
# Completion of kubectl-kguardian for zsh: source <(kubectl-kguardian completion zsh), after compinit
_kubectl_kguardian() {
  local -a lines described spacing
  local line value directive
  lines=("\${(@f)$("\${(Q)words[1]/#\\~/$HOME}" __complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  directive=\${lines[-1]#:}
  lines[-1]=()
  # Values of --flag=value are offered without the flag.
  compset -P '-*='
  for line in "\${lines[@]}"; do
    value=\${line%%$'\\t'*}
    value=\${value//:/\\\\:}
    if [[ $line == *$'\\t'* ]]; then described+=("$value:\${line#*$'\\t'}"); else described+=("$value"); fi
  done
  (( directive & 2 )) && spacing=(-S '')
  if (( \${#described} > 0 )); then
    _describe -t values kguardian described "\${spacing[@]}"
  elif (( directive & 16 )); then
    _files -/
  elif (( ! (directive & 4) )); then
    _files
  fi
}
if [[ \${funcstack[1]} == _kubectl-kguardian ]]; then _kubectl_kguardian "$@"; else compdef _kubectl_kguardian kubectl-kguardian; fi
`;

const FISH = `# Completion of kubectl-kguardian for fish: kubectl-kguardian completion fish | source
function __kubectl_kguardian_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    set -l lines ($program __complete $words "$typed" 2>/dev/null)
    test (count $lines) -gt 0; or return
    set -l directive (string replace ':' '' -- $lines[-1])
    set -e lines[-1]
    # Values of --flag=value are offered without the flag, which fish wants before them.
    set -l lead (string match -r -- '^-[^=]*=' "$typed")
    if test (count $lines) -gt 0
        for line in $lines
            printf '%s%s\\n' "$lead" $line
        end
    else if test (math "bitand($directive, 16)") -ne 0
        __fish_complete_directories (string replace -- "$lead" '' "$typed") | string replace -r '^' -- "$lead"
    else if test (math "bitand($directive, 4)") -eq 0
        __fish_complete_path (string replace -- "$lead" '' "$typed") | string replace -r '^' -- "$lead"
    end
end
complete -c kubectl-kguardian -f -a '(__kubectl_kguardian_complete)'
`;

export const SHELLS = { bash: BASH, zsh: ZSH, fish: FISH } as const;
export type Shell = keyof typeof SHELLS;
