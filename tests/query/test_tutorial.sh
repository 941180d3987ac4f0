#!/usr/bin/env bash
# Runs the sh blocks of docs/TUTORIAL.md, in order, as one script, with small numbers.
# SPDX-License-Identifier: MIT
set -euo pipefail
ctsearch=${CTS_BIN:?the program under test}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin" "$folder/work"
ln -s "$ctsearch" "$folder/bin/ctsearch"
awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$CTS_SOURCE_DIR/docs/TUTORIAL.md" >"$folder/tutorial.sh"
[[ $(grep -c '^ctsearch' "$folder/tutorial.sh") -ge 15 ]] || {
    echo "FAILED: docs/TUTORIAL.md has lost its commands" >&2
    exit 1
}
cd "$folder/work"
PATH="$folder/bin:$PATH" N=16 M=6 MINUTES=0.05 SIZE=32,32,32 VOXELS=32,32,32 bash -euo pipefail "$folder/tutorial.sh"
for f in scan.png vocab.txt run/model/config.json hits.json scans.npy scans.json; do
    [[ -s $f ]] || {
        echo "FAILED: the tutorial left no $f" >&2
        exit 1
    }
done
