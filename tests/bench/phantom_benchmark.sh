#!/usr/bin/env bash
# The phantom benchmark of docs/BENCHMARK.md: render, train, index, evaluate, on one machine in at most 30 minutes.
#   tests/bench/phantom_benchmark.sh [FOLDER]          default: a temporary folder, removed at the end
# CTS_BENCH_TRAIN (3000 scans), CTS_BENCH_VALID (400), CTS_BENCH_MINUTES (25 of training) and CTS_BENCH_OPTIONS (further
# options of train clip) change it. Seeds are fixed; training and evaluation phantoms are different patients.
# SPDX-License-Identifier: MIT
set -euo pipefail
cts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/ctsearch
[[ -x $cts ]] || { echo "build/ctsearch is missing: run tools/build.sh" >&2; exit 1; }
cts=${CTS_BIN:-$cts}

folder=${1:-}
if [[ -z $folder ]]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
cd "$folder"
begin=$SECONDS
read -r -a options <<<"${CTS_BENCH_OPTIONS:-}"

"$cts" phantom --out train --prefix train --count "${CTS_BENCH_TRAIN:-3000}" --size 96,96,64 --seed 101
"$cts" phantom --out valid --prefix valid --count "${CTS_BENCH_VALID:-400}" --size 96,96,64 --seed 202
echo "rendered after $((SECONDS - begin)) s"
"$cts" train clip --reports train/reports.csv --volumes train/volumes --size 64,96,96 --out run --seed 1 \
    --minutes "${CTS_BENCH_MINUTES:-25}" --steps 100000 --cache-mb 8192 "${options[@]}"
echo "trained after $((SECONDS - begin)) s"
"$cts" index create idx --model run --reports valid/reports.csv --labels valid/labels.csv --volumes valid/volumes
"$cts" eval zeroshot --index idx
"$cts" eval recall --index idx
echo "whole benchmark: $((SECONDS - begin)) s on $(nproc) cores"
