#!/usr/bin/env bash
# Builds a fuzz target with clang and runs it from its corpus: tools/fuzz.sh TARGET [SECONDS], 60 seconds unless told.
# New inputs are kept in a scratch folder; one that makes the target fail is left there and named.
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${1:-}
seconds=${2:-60}
if [[ -z $target || ! -f tests/fuzz/$target/fuzz.c ]]; then
    echo "fuzz: which of: $(cd tests/fuzz && echo *)" >&2
    exit 1
fi
if ! command -v clang >/dev/null; then
    echo "fuzz: clang is missing (package clang on Debian); the corpora are replayed by ctest without it" >&2
    exit 77
fi
scratch=$(mktemp -d -t "cts-fuzz-$target-XXXXXX")
read -ra needs <<<"$(tr '\n' ' ' <"tests/fuzz/$target/needs")" # sources and libraries; patterns are expanded below
files=()
for word in "${needs[@]}"; do
    if [[ $word == *'*'* ]]; then
        for file in $word; do
            [[ $file == */http_client.c ]] || files+=("$file")
        done
    else
        files+=("$word")
    fi
done
clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -D_GNU_SOURCE -I. \
    "tests/fuzz/$target/fuzz.c" "${files[@]}" -lm -lpthread -o "$scratch/fuzz"
dictionary=()
if [[ -f tests/fuzz/$target/words.dict ]]; then
    dictionary=("-dict=tests/fuzz/$target/words.dict")
fi
mkdir "$scratch/corpus"
"$scratch/fuzz" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    "${dictionary[@]}" -artifact_prefix="$scratch/" "$scratch/corpus" "tests/fuzz/$target/corpus"
rm -rf "$scratch"
