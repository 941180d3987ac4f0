#!/usr/bin/env python3
"""Writes tests/golden/text/sentencepiece.json, sp_unigram.model and sp_bpe.model.

Two models are trained with Python's sentencepiece on sentences this script makes up, and the library's ids and decoded
texts of odd strings and of some more sentences are stored. The C code must give the same through its own binding.
The normalisation rules are a short list instead of NFKC, which alone takes 230 KB a model.

Usage: gen_golden_text.py [project folder]      needs: pip install sentencepiece

SPDX-License-Identifier: MIT
"""
import io
import json
import os
import random
import sys
import tempfile

import sentencepiece

SIDES = ["right", "left", "both"]
PLACES = ["upper lobe", "lower lobe", "hemithorax", "hilar region", "lung apex", "costophrenic angle", "lingula"]
THINGS = ["nodule", "consolidation", "pleural effusion", "atelectasis", "emphysema", "bronchiectasis", "calcification",
          "ground glass opacity", "lymph node", "hiatal hernia", "septal thickening", "fibrotic band"]
SEEN = ["is seen", "is present", "was noted", "has increased", "is unchanged", "measures {a} mm",
        "measures {a} x {b} mm", "is {a}.{b} cm wide", "with -{a} HU", "was not detected", "cannot be excluded",
        "needs follow-up in {b} months"]
ENDS = ["", " Heart size is normal.", " The trachea is in the midline.", " T{b}-L1 vertebrae: no fracture.",
        " Aorta {a} mm (normal).", "; contrast was given."]


def sentences(seed, count):
    pick = random.Random(seed)
    out = []
    for _ in range(count):
        text = f"{pick.choice(['A', 'The', 'No', 'Suspicious', 'Small'])} {pick.choice(THINGS)} in the " \
               f"{pick.choice(SIDES)} {pick.choice(PLACES)} {pick.choice(SEEN)}.{pick.choice(ENDS)}"
        out.append(text.format(a=pick.randint(2, 60), b=pick.randint(1, 12)))
    return out


def rules():
    lines = [f"{c:X}\t{c + 32:X}" for c in range(ord("A"), ord("Z") + 1)]
    lines += ["9\t20", "A\t20", "D\t20", "A0\t20", "2003\t20", "FB01\t66 69", "B2\t32", "C9\t65", "E9\t65",
              "65 301\t65", "2019\t27", "FEFF\t", "200B\t", "AD\t"]
    return "\n".join(lines) + "\n"


def train(texts, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, pad_id=0, unk_id=1, bos_id=2, eos_id=3, num_threads=1,
        hard_vocab_limit=False, minloglevel=2, **options)
    return model.getvalue()


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), ".."))
    folder = os.path.join(root, "tests", "golden", "text")
    with open(os.path.join(folder, "wordpiece_strings.json"), encoding="utf-8") as f:
        strings = [s["text"] for s in json.load(f)["strings"] if len(s["text"]) <= 400]
    strings += sentences(2, 12) + [" ".join(sentences(3, 25)), "\n".join(sentences(4, 10))]
    texts = sentences(1, 1500)
    cases = {"unigram": dict(model_type="unigram", vocab_size=300, normalization_rule_tsv="rules.tsv"),
             "bpe": dict(model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity")}
    out = {"package": f"sentencepiece {sentencepiece.__version__}", "report_text": "",
           "rule": "ids without bos and eos"}
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # the name of the rules file is stored in the model
        with open("rules.tsv", "w", encoding="ascii") as f:
            f.write(rules())
        for name, options in cases.items():
            model = train(texts, **options)
            sp = sentencepiece.SentencePieceProcessor(model_proto=model)
            with open(os.path.join(folder, f"sp_{name}.model"), "wb") as f:
                f.write(model)
            rows = []
            for text in strings:
                ids = sp.encode(text)
                rows.append({"text": text, "ids": ids, "decoded": sp.decode(ids)})
            out[name] = {"model": f"sp_{name}.model", "size": sp.get_piece_size(), "options": options,
                         "pad": sp.pad_id(), "unk": sp.unk_id(), "bos": sp.bos_id(), "eos": sp.eos_id(),
                         "strings": rows, "reports": []}
    with open(os.path.join(folder, "sentencepiece.json"), "w", encoding="ascii") as f:
        f.write("{\n")
        heads = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in out.items() if not isinstance(v, dict)]
        for name in cases:
            fields = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in out[name].items() if k != "strings"]
            rows = ",\n".join("   " + json.dumps(r) for r in out[name]["strings"])
            heads.append(f" {json.dumps(name)}: {{\n" + ",\n".join(fields) + f',\n  "strings": [\n{rows}\n  ]\n }}')
        f.write(",\n".join(heads) + "\n}\n")


if __name__ == "__main__":
    main()
