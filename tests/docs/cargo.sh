#!/usr/bin/env bash
# Replaces cargo in the test of the documents. `cargo xtask test` runs the commands that build or test the whole workspace, so
# this script checks only their arguments. It does start programs that a page runs. See CONTRIBUTING.md.
set -euo pipefail

real() { env -u CARGO_MANIFEST_DIR HOME="$DOCS_HOME" CARGO_TARGET_DIR="$DOCS_TARGET" "$DOCS_CARGO" "$@"; }

# The arguments of cargo or xtask. Those after -- belong to the program.
own=()
for word in "$@"; do
  [ "$word" != -- ] || break
  own+=("$word")
done

case "$1" in
xtask)
  # clap parses all flags before --help.
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
  [ "$2" = -p ] && [ "$4" = -- ] || { echo "only cargo run -p PACKAGE -- ARGUMENTS is supported" >&2; exit 1; }
  exec "$DOCS_PROGRAMS/$3" "${@:5}"
  ;;
*)
  echo "the test of the documents does not support cargo $1" >&2
  exit 1
  ;;
esac
