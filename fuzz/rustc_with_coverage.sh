#!/bin/sh
# rustc for the crates of this repository, with the coverage that libFuzzer needs. All flags are stable: neither a nightly compiler nor
# another build of the dependencies is needed.
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
