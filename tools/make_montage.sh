#!/usr/bin/env bash
# Draws docs/phantom_findings.png: one phantom for each of the 18 findings, the slice with most of it, framed.
# Needs build/ctsearch (tools/build.sh). Usage: tools/make_montage.sh [OUT.png]
# SPDX-License-Identifier: MIT
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ctsearch=${CTS_BIN:-$root/build/ctsearch}
out=$(realpath -m "${1:-$root/docs/phantom_findings.png}")
size=${SIZE:-192,192,160}

findings=(
    "Medical material" "Arterial wall calcification" "Cardiomegaly" "Pericardial effusion"
    "Coronary artery wall calcification" "Hiatal hernia" "Lymphadenopathy" "Emphysema" "Atelectasis"
    "Lung nodule" "Lung opacity" "Pulmonary fibrotic sequela" "Pleural effusion" "Mosaic attenuation pattern"
    "Peribronchial thickening" "Consolidation" "Bronchiectasis" "Interlobular septal thickening"
)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
n=0
for finding in "${findings[@]}"; do
    n=$((n + 1))
    "$ctsearch" phantom --quiet --count 1 --first "$n" --seed "${SEED:-2}" --findings "$finding" --masks --size "$size" \
        --out . >/dev/null
done
"$ctsearch" inspect volumes/*.nii.gz --masks masks --columns 6 --pixels 212 --png "$out" >/dev/null
