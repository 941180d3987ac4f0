#!/usr/bin/env bash
# Every global symbol of the project's static libraries starts with cts_. Argument: the build folder (default build).
# Weak symbols (C++ templates) are no claim on a name. The two FAISS functions are replaced on purpose where an index shim
# defines them.
# SPDX-License-Identifier: MIT
set -euo pipefail
build=${1:-$(dirname "${BASH_SOURCE[0]}")/../build}

shopt -s nullglob
libraries=("$build"/libcts_*.a)
if ((${#libraries[@]} == 0)); then
    echo "symbols: no library in $build, build first" >&2
    exit 1
fi
bad=$(nm -A -g --defined-only "${libraries[@]}" 2>/dev/null |
    awk 'NF >= 3 && $(NF-1) ~ /^[TDBRCSG]$/ && $NF !~ /^cts_/ && $NF !~ /^_ZN5faiss(18fvec_inner_product|10fvec_L2sqr)/')
if [[ -n $bad ]]; then
    printf '%s\n' "$bad"
    echo "symbols: the globals above lack the prefix cts_" >&2
    exit 1
fi
echo "symbols: ${#libraries[@]} libraries, all globals start with cts_"
