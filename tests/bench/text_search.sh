#!/usr/bin/env bash
# Search of reports by sentences, as in docs/BENCHMARK.md: the reports of a CSV into an index of texts, then precision@10
# of "<Finding> is present" beside BM25 and chance.
#   tests/bench/text_search.sh REPORTS.csv LABELS.csv MODEL
# MODEL is a model folder, or a published sentence-transformers folder, which is imported first. Columns of the CSVs as
# in CT-RATE. CTS_BENCH_K (10) changes k.
# SPDX-License-Identifier: MIT
set -euo pipefail
[[ $# == 3 ]] || { sed -n 's/^#   //p' "${BASH_SOURCE[0]}" >&2; exit 1; }
cts=${CTS_BIN:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/ctsearch}
[[ -x $cts ]] || { echo "$cts is missing: run tools/build.sh" >&2; exit 1; }
reports=$1 labels=$2 model=$3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! grep -q '"ctsearch-clip"' "$model/config.json" && [[ ! -d $model/model ]]; then
    "$cts" import "$model" --out "$folder/model"
    model=$folder/model
fi
begin=$SECONDS
"$cts" index create --text-only "$reports" --labels "$labels" --model "$model" "$folder/reports.index"
echo "indexed after $((SECONDS - begin)) s on $(nproc) cores"
"$cts" eval findings --index "$folder/reports.index" -k "${CTS_BENCH_K:-10}"
