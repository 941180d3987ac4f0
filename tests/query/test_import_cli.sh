#!/usr/bin/env bash
# import as a user and a script call it: the table, the folder, overrides, what is refused, and a search with the result.
# SPDX-License-Identifier: MIT
set -euo pipefail
source "${CTS_SOURCE_DIR:?the project}/tests/support/program.sh"
golden=${CTS_GOLDEN_DIR:-$CTS_SOURCE_DIR/tests/golden}

# ---- a Hugging Face folder: text alone ------------------------------------------------------------------------------
bert=$golden/bert_mini
code 0 "$ctsearch" import "$bert" --dry-run
has out.txt 'dropped: the vector is taken before the pooler'
has out.txt 'text_transformer.encoder.layer.0.attention.self.query.weight'
has out.txt 'bert, safetensors'
code 0 "$ctsearch" import "$bert" --dry-run --json
has out.txt '"rows"'
has out.txt '"family": "bert"'
[[ -z $(ls -A | grep -v txt) ]] || fail "a dry run wrote: $(ls)"
code 0 "$ctsearch" import "$bert" --out model --digest --quiet --json
has out.txt '"out": "model"'
for file in config.json model.safetensors vocab.txt provenance.json; do
    [[ -s model/$file ]] || fail "model/$file is missing"
done
[[ ! -e model/preprocess.json ]] || fail "a recipe for a model of texts"
has model/provenance.json "$(sha256sum "$bert/vocab.txt" | cut -d' ' -f1)"
has model/provenance.json "$(sha256sum "$bert/model.safetensors" | cut -d' ' -f1)" # the file inside the folder
cmp "$bert/vocab.txt" model/vocab.txt
cp model/model.safetensors first.safetensors
# the older layout of the same weights, with its tokenizer and configuration given by name, in its place
code 0 "$ctsearch" import "$bert/pytorch_model_legacy.bin" "$bert/vocab.txt" "$bert/config.json" --out model --quiet
has out.txt 'pytorch'
cmp first.safetensors model/model.safetensors || fail "two files of one model differ after import"
printf 'VolumeName,Findings_EN,Impressions_EN\nvalid_1_a_1.nii.gz,%s,\nvalid_2_a_1.nii.gz,%s,\n' \
    "$(tail -n 1 "$bert/vocab.txt")" "$(tail -n 2 "$bert/vocab.txt" | head -n 1)" >reports.csv
code 0 "$ctsearch" embed --model model --reports reports.csv --text --out texts.npy --quiet

# ---- an image side: recipe, its override, no tokenizer -----------------------------------------------------------------
scroll=$golden/checkpoints/ct_scroll_narrow.pt
code 0 "$ctsearch" import "$scroll" --input-size 36,64,64 --out scroll --quiet
has out.txt 'recipe ctscroll@36x64x64'
has scroll/preprocess.json '64'
code 0 "$ctsearch" import "$scroll" --recipe merlin --out scroll --quiet
has err.txt 'not those of the published model'
has scroll/preprocess.json '"override_of"'
has scroll/provenance.json '"recipe_override_of": "ctscroll"'
dcformer=$golden/checkpoints/dcformer_checkpoint-3.pth # not in the project: over 1 MB
if [[ -e $dcformer ]]; then
    code 0 "$ctsearch" import "$dcformer" --text-heads 1 --out pair --quiet
    has out.txt 'note: no tokenizer is given'
    has out.txt 'under "model"'
    code 2 "$ctsearch" import "$dcformer" --text-heads 1 --recipe no-such --out x
fi

# ---- what is refused ----------------------------------------------------------------------------------------------------
code 1 "$ctsearch" import --out x
code 1 "$ctsearch" import "$bert"
code 1 "$ctsearch" import model --out x
has err.txt 'model/config.json: this is a model folder of ctsearch already'
code 1 "$ctsearch" import "$bert/vocab.txt" --out x
has err.txt 'no file of weights'
code 1 "$ctsearch" import "$bert" "$bert/pytorch_model_legacy.bin" --out x
has err.txt 'both weights'
code 1 "$ctsearch" import "$bert" --recipe merlin --out x
has err.txt 'no image side'
code 2 "$ctsearch" import nothing.pt --out x
has err.txt 'nothing.pt'
code 2 "$ctsearch" import "$bert/pytorch_model_legacy.bin" --text-heads 1000 --out x
has err.txt '1000 attention heads'
code 4 "$ctsearch" import "$bert" --family dcformer --out x
code 2 "$ctsearch" import "$bert" --family gpt --out x
has err.txt 'sentence-transformer'
code 2 "$ctsearch" import "$scroll" --recipe no-such --out x
head -n 20 "$bert/vocab.txt" >few.txt
code 0 "$ctsearch" import "$bert" few.txt --dry-run --quiet
has out.txt 'more than padding explains'
rows=$(wc -l <"$bert/vocab.txt")
seq $((rows + 100)) >many.txt
sed -i '1s/.*/[PAD]/; 2s/.*/[UNK]/; 3s/.*/[CLS]/; 4s/.*/[SEP]/; 5s/.*/[MASK]/' many.txt
code 4 "$ctsearch" import "$bert" many.txt --out x
has err.txt "$((rows + 100)) ids"
mkdir photos && echo x >photos/cat.png
code 2 "$ctsearch" import "$bert" --out photos
[[ -e photos/cat.png && ! -e x ]] || fail "something was replaced or left: $(ls)"
echo "import: as documented"
