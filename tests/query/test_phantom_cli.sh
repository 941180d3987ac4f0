#!/usr/bin/env bash
# phantom, inspect, tokenizer and demo as a user and a script call them: outputs, JSON fields, exit codes.
# SPDX-License-Identifier: MIT
set -euo pipefail
source "${CTS_SOURCE_DIR:?the project}/tests/support/program.sh"

# ---- phantom: a drawn set -----------------------------------------------------------------------------------------
code 0 "$ctsearch" phantom --quiet --count 3 --size 32,32,24 --seed 7 --prefix demo --masks --out set --json
has out.txt '"volumes": 3'
[[ $(ls set/volumes) == $'demo_000001_a_1.nii.gz\ndemo_000002_a_1.nii.gz\ndemo_000003_a_1.nii.gz' ]] ||
    fail "names: $(ls set/volumes)"
[[ $(ls set/masks) == "$(ls set/volumes)" ]] || fail "masks: $(ls set/masks)"
has set/reports.csv 'VolumeName,Findings_EN,Impressions_EN'
has set/labels.csv 'VolumeName,Medical material,Arterial wall calcification'
has set/metadata.csv 'XYSpacing'
# the same seed gives the same bytes, on one thread as on two; another seed does not
code 0 "$ctsearch" phantom --quiet --count 3 --size 32,32,24 --seed 7 --prefix demo --threads 1 --out again
for f in labels.csv reports.csv metadata.csv volumes/demo_000002_a_1.nii.gz; do
    cmp -s "set/$f" "again/$f" || fail "$f differs between two runs with one seed"
done
code 0 "$ctsearch" phantom --quiet --count 1 --size 32,32,24 --seed 8 --prefix demo --out other
! cmp -s set/volumes/demo_000001_a_1.nii.gz other/volumes/demo_000001_a_1.nii.gz || fail "another seed, the same volume"
# findings by name, and one left out
code 0 "$ctsearch" phantom --quiet --count 1 --size 32,32,24 --findings "Pleural effusion,Cardiomegaly" --out two
[[ $(tail -n 1 two/labels.csv | tr -cd 1 | wc -c) -ge 2 ]] || fail "two findings: $(tail -n 1 two/labels.csv)"
code 0 "$ctsearch" phantom --quiet --count 1 --size 32,32,24 --findings "Pleural effusion,Cardiomegaly" \
    --without cardiomegaly --out one
[[ $(tail -n 1 one/labels.csv | cut -d, -f2- | tr -cd 1) == 1 ]] || fail "one left: $(tail -n 1 one/labels.csv)"

# a stopped run leaves whole files and no CSV
"$ctsearch" phantom --quiet --count 100000 --size 32,32,24 --out cut 2>err.txt &
pid=$!
for _ in $(seq 100); do
    [[ -n $(ls cut/volumes 2>/dev/null) ]] && break
    sleep 0.05
done
kill -TERM "$pid"
got=0
wait "$pid" || got=$?
[[ $got == 130 ]] || fail "exit code $got after a signal"
[[ ! -e cut/labels.csv && -z $(find cut -name '*.tmp*') ]] || fail "left after a signal: $(ls cut cut/volumes | tail -n 5)"
gzip -t cut/volumes/*.nii.gz || fail "a cut file after a signal"

# ---- phantom: volumes for CSVs --------------------------------------------------------------------------------------
cat >mine.csv <<'CSV'
VolumeName,Findings_EN,Impressions_EN
valid_53_a_1.nii.gz,"Fluid in both pleural spaces,
with ""quotes"" and a line break.",Pleural effusion.
valid_54_a_1.nii.gz,Clear lungs.,Normal.
CSV
head -n 1 set/labels.csv >mine_labels.csv
echo "valid_53_a_1.nii.gz,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0" >>mine_labels.csv
echo "valid_54_a_1.nii.gz,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0" >>mine_labels.csv
code 0 "$ctsearch" phantom --quiet --reports mine.csv --labels mine_labels.csv --size 32,32,24 --out mine
[[ $(ls mine/volumes) == $'valid_53_a_1.nii.gz\nvalid_54_a_1.nii.gz' ]] || fail "names of CSVs: $(ls mine/volumes)"
code 1 "$ctsearch" phantom --reports mine.csv --out x
has err.txt '--labels'
code 1 "$ctsearch" phantom --count 1 --findings "Broken heart" --out x
has err.txt 'Broken heart'
head -n 2 mine_labels.csv >short_labels.csv
code 2 "$ctsearch" phantom --reports mine.csv --labels short_labels.csv --size 32,32,24 --out x
has err.txt 'valid_54_a_1'
[[ ! -e x/metadata.csv ]] || fail "a refused set left a CSV"

# ---- inspect --------------------------------------------------------------------------------------------------------
scan=set/volumes/demo_000001_a_1.nii.gz
code 0 "$ctsearch" inspect "$scan" --png one.png --quiet
has out.txt 'LPS'
has out.txt 'verdict'
[[ $(head -c 4 one.png | tail -c 3) == PNG ]] || fail "one.png is no picture"
code 0 "$ctsearch" inspect "$scan" --csv set/metadata.csv --json
has out.txt '"orientation": "LPS"'
has out.txt '"chosen": "header"'
has out.txt '"name": "header+csv"'
code 0 "$ctsearch" inspect set/volumes/*.nii.gz --masks set/masks --png many.png --quiet
[[ $(head -c 4 many.png | tail -c 3) == PNG ]] || fail "many.png is no picture"
echo "no scan" >bad.nii.gz
code 2 "$ctsearch" inspect bad.nii.gz --png bad.png
has err.txt 'bad.nii.gz'
[[ ! -e bad.png ]] || fail "a picture of nothing"
code 5 "$ctsearch" inspect "$scan" bad.nii.gz --json
has out.txt '"skipped": 1'
code 1 "$ctsearch" inspect "$scan" --plane oblique

# ---- tokenizer ------------------------------------------------------------------------------------------------------
for kind in wordpiece:vocab.txt unigram:uni.model bpe:bpe.model; do
    code 0 "$ctsearch" tokenizer train --reports set/reports.csv --kind "${kind%%:*}" --vocab 400 --out "${kind##*:}" \
        --quiet --json
    has out.txt '"texts": 3'
    code 0 "$ctsearch" tokenizer encode --tokenizer "${kind##*:}" "No pleural effusion." "Heart" --json
    has out.txt '"pieces"'
done
printf 'one line of words\n\nanother line of words' >lines.txt
code 0 "$ctsearch" tokenizer train --text lines.txt --vocab 100 --out lines_vocab.txt --json --quiet
has out.txt '"texts": 2'
code 0 "$ctsearch" tokenizer encode --tokenizer lines_vocab.txt "words"
code 1 "$ctsearch" tokenizer train --reports set/reports.csv --kind bpe --out wrong.txt
code 1 "$ctsearch" tokenizer encode --tokenizer vocab.txt
code 2 "$ctsearch" tokenizer encode --tokenizer nothing.txt "words"

# ---- demo -----------------------------------------------------------------------------------------------------------
code 0 "$ctsearch" demo --minutes 0.05 --train 16 --valid 4 --gallery 6 --size 32,32,32 --quiet --out demo
for part in 'ctsearch train clip' '--text "pleural effusion"' 'its own report' 'R@10' 'chance' 'mean' 'Done in'; do
    has out.txt "$part"
done
# the lines it prints are commands: two of them again, in its folder
(
    cd demo
    code 0 "$ctsearch" query --index gallery.index --text "pleural effusion" -k 5 --quiet
    code 0 "$ctsearch" eval zeroshot --index gallery.index --json --quiet
)
code 2 "$ctsearch" demo --out demo --quiet # not into a folder that holds one already
mkdir tmp
code 0 env TMPDIR="$folder/tmp" "$ctsearch" demo --minutes 0.05 --train 16 --valid 4 --gallery 6 --size 32,32,32 --quiet --json
for key in phantom train text_query image_query score recall zeroshot commands truth prevalence; do
    has out.txt "\"$key\""
done
[[ -z $(ls tmp) ]] || fail "the temporary folder was left: $(ls tmp)"
echo "phantom, inspect, tokenizer and demo: as documented"
