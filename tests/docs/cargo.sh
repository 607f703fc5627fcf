#!/usr/bin/env bash
# cargo as the test of the documents runs it; CONTRIBUTING.md states the rule. What builds or tests the whole workspace is
# run by `cargo xtask test` anyway: here only its words are checked. A program that a page starts is really started.
set -euo pipefail

real() { env -u CARGO_MANIFEST_DIR HOME="$DOCS_HOME" CARGO_TARGET_DIR="$DOCS_TARGET" "$DOCS_CARGO" "$@"; }

# The words of cargo or xtask themselves; what stands after -- is the program's.
own=()
for word in "$@"; do
  [ "$word" != -- ] || break
  own+=("$word")
done

case "$1" in
xtask)
  # clap reads every flag before it comes to --help.
  exec "$DOCS_PROGRAMS/xtask" "${own[@]:1}" --help
  ;;
build | test)
  for ((i = 1; i < ${#own[@]}; i++)); do
    if [ "${own[i - 1]}" = --test ] && [ ! -e "tests/${own[i]}.rs" ] && [ ! -e "tests/${own[i]}/main.rs" ]; then
      echo "there is no test ${own[i]} in tests/" >&2
      exit 1
    fi
  done
  real "${own[@]}" --help </dev/null >/dev/null
  ;;
run)
  # cargo run -p PACKAGE -- ARGUMENTS
  [ "$2" = -p ] && [ "$4" = -- ] || { echo "only cargo run -p PACKAGE -- ARGUMENTS is understood" >&2; exit 1; }
  exec "$DOCS_PROGRAMS/$3" "${@:5}"
  ;;
*)
  echo "the test of the documents knows no rule for cargo $1" >&2
  exit 1
  ;;
esac
