#!/usr/bin/env python3
"""Train a ctsearch model folder by DCFormer's published rules in PyTorch, and compare the loss curve with ours.

    ctsearch train clip --init MODEL --no-shuffle --preset dcformer-published --steps 50 --batch 4 --lr 1e-4 \\
        --reports reports.csv --volumes volumes/ --out run
    tools/parity_train.py --model MODEL --reports reports.csv --volumes volumes/ --steps 50 --batch 4 --lr 1e-4 \\
        --log run/log.jsonl [--out curve.json]

Everything is written here from the description of the published code and shares nothing with the C sources: reading of
scans (nibabel), resampling (torch), WordPiece, both encoders, the quantiser with its moving averages, the loss, AdamW.
The model must have no dropout, for random streams differ. Exit code 1 when a step's loss differs by more than --limit.
Needs torch, numpy, nibabel, safetensors. SPDX-License-Identifier: MIT"""
import argparse
import csv
import json
import math
import pathlib
import sys
import unicodedata

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

# What pandas reads as a missing cell, which the published loaders then turn into the text "nan".
MISSING = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
           "NULL", "NaN", "None", "n/a", "nan", "null"}


# ---- text ------------------------------------------------------------------------------------------------------------


def report_text(row):
    cells = ["nan" if row[c] in MISSING else row[c] for c in ("Findings_EN", "Impressions_EN")]
    return "".join(ch for ch in "".join(cells) if ch not in "\"'()")


def is_punctuation(ch):
    o = ord(ch)
    return 33 <= o <= 47 or 58 <= o <= 64 or 91 <= o <= 96 or 123 <= o <= 126 or unicodedata.category(ch).startswith("P")


def words_of(text):
    words = [""]
    for ch in unicodedata.normalize("NFD", text.lower()):
        if unicodedata.category(ch) == "Mn" or ch in "\0\ufffd":
            continue
        if ch.isspace():
            words.append("")
        elif is_punctuation(ch):
            words += [ch, ""]
        elif not unicodedata.category(ch).startswith("C"):
            words[-1] += ch
    return [w for w in words if w]


def wordpiece(text, vocab, longest):
    ids = []
    for word in words_of(text):
        at, pieces = 0, []
        while at < len(word) and len(word) <= 100:
            end = len(word)
            while end > at and ("##" if at else "") + word[at:end] not in vocab:
                end -= 1
            if end == at:
                break
            pieces.append(vocab[("##" if at else "") + word[at:end]])
            at = end
        ids += pieces if at == len(word) else [vocab["[UNK]"]]
    return [vocab["[CLS]"]] + ids[: longest - 2] + [vocab["[SEP]"]]


# ---- scans -----------------------------------------------------------------------------------------------------------


def read_scan(path, recipe, meta):
    image = nib.load(path)
    if recipe["orientation"] != "stored":
        have = nib.orientations.io_orientation(image.affine)
        want = nib.orientations.axcodes2ornt(tuple(recipe["orientation"]))
        image = image.as_reoriented(nib.orientations.ornt_transform(have, want))
    slope, intercept = (float(meta["RescaleSlope"]), float(meta["RescaleIntercept"])) if meta else (1.0, 0.0)
    hu = image.get_fdata() * slope + intercept
    if meta:
        xy = float(meta["XYSpacing"][1:-2].split(",")[0])
        spacing = [float(meta["ZSpacing"]), xy, xy]
    else:
        x, y, z = (float(v) for v in image.header.get_zooms()[:3])
        spacing = [z, x, y]
    if recipe["first_clip"]:
        hu = np.clip(hu, *recipe["first_clip"])
    hu = hu.transpose(2, 0, 1)
    t = torch.from_numpy(np.ascontiguousarray(hu)).to(torch.float64 if recipe["interpolation"] == "f64" else torch.float32)
    size = [int(n * (s / w)) if w else full
            for n, s, w, full in zip(t.shape, spacing, recipe["spacing_zxy"], recipe["size_zxy"])]
    t = F.interpolate(t[None, None], size=size, mode="trilinear", align_corners=False)[0, 0]
    lo, hi = recipe["window"]
    a, b = recipe["out"]
    t = (a + (t.clip(lo, hi) - lo) * ((b - a) / (hi - lo))).float()
    for axis, want in enumerate(recipe["size_zxy"]):
        if t.shape[axis] > want:
            t = t.narrow(axis, (t.shape[axis] - want) // 2, want)
    pad = []
    for axis in (2, 1, 0):
        missing = recipe["size_zxy"][axis] - t.shape[axis]
        pad += [missing // 2, missing - missing // 2]
    return F.pad(t, pad, value=recipe["pad"])


# ---- the model: functions over the state dict, published names -------------------------------------------------------


class Model:
    def __init__(self, folder, dtype):
        self.config = json.loads((folder / "config.json").read_text())
        self.image, self.text = self.config["image"]["config"], self.config["text"]["config"]
        if self.config["image"]["encoder"] != "dcformer" or self.config["text"]["encoder"] != "bert":
            sys.exit("only a pair of dcformer and bert")
        if self.text["hidden_dropout_prob"] or self.text["attention_probs_dropout_prob"]:
            sys.exit("the model has dropout: set both probabilities in config.json to 0")
        if self.config.get("projection_norm", "none") != "none":
            sys.exit("the model has batch norms before its projections; the published class has none")
        self.p = {k: v.to(dtype) for k, v in load_file(folder / "model.safetensors").items()}
        state = ("running_mean", "running_var", "temperature")
        self.trained = {k: v for k, v in self.p.items() if not k.endswith(state) and "_codebook." not in k}
        for v in self.trained.values():
            v.requires_grad_(True)

    def norm(self, x, name):  # batch norm in training mode, moves the running statistics
        p = self.p
        return F.batch_norm(x, p[name + ".running_mean"], p[name + ".running_var"], p[name + ".weight"],
                            p[name + ".bias"], True, 0.1, 1e-5)

    def decomposed(self, x, name, kernel, stride, groups):
        total = 0
        for axis in range(3):  # along x, y, z
            padding = [kernel // 2 if a == axis else 0 for a in range(3)]
            y = F.conv3d(x, self.p[f"{name}c{axis + 1}.0.weight"], self.p[f"{name}c{axis + 1}.0.bias"], stride, padding,
                         groups=groups)
            total = total + self.norm(y, f"{name}norm.{axis}")
        return total

    def block(self, x, name, kernel):
        p = self.p
        y = self.decomposed(x, name + "dwconv.", kernel, 1, x.shape[1]).permute(0, 2, 3, 4, 1)
        y = F.gelu(F.linear(y, p[name + "mlp.mlp.0.weight"], p[name + "mlp.mlp.0.bias"]))
        y = F.linear(y, p[name + "mlp.mlp.3.weight"], p[name + "mlp.mlp.3.bias"]) * p[name + "gamma"]
        return x + y.permute(0, 4, 1, 2, 3)

    def quantise(self, x):  # tokens [.., c]
        name = "visual_transformer.vq._codebook."
        flat = x.reshape(-1, x.shape[-1])
        with torch.no_grad():
            book = self.p[name + "embed"][0]
            z, e = F.normalize(flat.detach(), dim=-1), F.normalize(book, dim=-1)
            code = (z @ e.t()).argmax(-1)
            row = book[code].clone()
            count = torch.bincount(code, minlength=len(book)).to(z.dtype)
            total = torch.zeros_like(book).index_add_(0, code, z)
            target = torch.where((count > 0)[:, None], F.normalize(total / count.clamp(min=1)[:, None], dim=-1), e)
            self.p[name + "cluster_size"].mul_(0.8).add_(0.2 * count)
            book.mul_(0.8).add_(0.2 * target)
        return (flat + (row - flat).detach()).reshape(x.shape)

    def image_latent(self, volume):  # [b, z, x, y]
        p, name = self.p, "visual_transformer.encoder."
        x = volume[:, None].permute(0, 1, 3, 4, 2)
        for i, kernel in enumerate((7, 3, 3, 3)):
            x = self.decomposed(x, f"{name}s0.0.{i}.", kernel, 4 if i == 0 else 1, 1)
        for s, kernel in enumerate(self.image["kernel_sizes"], 1):
            for i in range(self.image["num_blocks"][s]):
                if i == 0:
                    x = F.conv3d(F.max_pool3d(x, 3, 2, 1), p[f"{name}s{s}.0.proj.weight"])
                x = self.block(x, f"{name}s{s}.{i}.", kernel)
        x = x.permute(0, 4, 2, 3, 1)  # t, h, w = z, x, y
        if self.image["quantize"]:
            x = self.quantise(x)
        if self.image["reduction"] == "channel":
            x = x.mean((1, 2, 3))
        elif self.image["reduction"] == "depth":
            x = x.mean(1)
        return F.normalize(F.linear(x.flatten(1), p["to_visual_latent.weight"]), dim=-1)

    def text_latent(self, ids, mask):
        p, name, c = self.p, "text_transformer.", self.text
        eps, heads, hidden = c["layer_norm_eps"], c["num_attention_heads"], c["hidden_size"]

        def linear(x, what):
            return F.linear(x, p[name + what + ".weight"], p[name + what + ".bias"])

        def layer_norm(x, what):
            return F.layer_norm(x, (hidden,), p[name + what + ".weight"], p[name + what + ".bias"], eps)

        def split(x):
            return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)

        e = name + "embeddings."
        x = p[e + "word_embeddings.weight"][ids] + p[e + "position_embeddings.weight"][: ids.shape[1]]
        x = layer_norm(x + p[e + "token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hide = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(mask == 0, -math.inf)[:, None, None]
        for i in range(c["num_hidden_layers"]):
            at = f"encoder.layer.{i}."
            q, k, v = (split(linear(x, at + "attention.self." + w)) for w in ("query", "key", "value"))
            a = ((q @ k.transpose(-1, -2)) / math.sqrt(hidden // heads) + hide).softmax(-1) @ v
            a = linear(a.transpose(1, 2).reshape(x.shape), at + "attention.output.dense")
            x = layer_norm(x + a, at + "attention.output.LayerNorm")
            h = linear(F.gelu(linear(x, at + "intermediate.dense")), at + "output.dense")
            x = layer_norm(x + h, at + "output.LayerNorm")
        x = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True) if c.get("pooling") == "mean" else x[:, 0]
        return F.normalize(F.linear(x, p["to_text_latent.weight"]), dim=-1)

    def loss(self, volumes, ids, mask):
        s = self.p["temperature"].exp() * self.text_latent(ids, mask) @ self.image_latent(volumes).t()
        e = s.exp()
        own = -torch.log(e.diag() + 1e-20)
        return ((own + torch.log(e.sum(1) + 1e-20)).mean() + (own + torch.log(e.sum(0) + 1e-20)).mean()) / 2


# ---- the run ---------------------------------------------------------------------------------------------------------


def read_pairs(o, folder):
    recipe = json.loads((folder / "preprocess.json").read_text())
    vocab = {w: i for i, w in enumerate((folder / "vocab.txt").read_text(encoding="utf-8").split("\n"))}
    config = json.loads((folder / "config.json").read_text())
    longest = min(512, config["text"]["config"]["max_position_embeddings"], config.get("max_length", 512))
    files = {f.name: f for f in pathlib.Path(o.volumes).rglob("*.nii*")}
    meta = {}
    if o.metadata:
        meta = {r["VolumeName"]: r for r in csv.DictReader(open(o.metadata, encoding="utf-8", newline=""))}
    pairs = []
    for row in csv.DictReader(open(o.reports, encoding="utf-8", newline="")):
        name = row["VolumeName"]
        if name in files:
            pairs.append((read_scan(files[name], recipe, meta.get(name)), wordpiece(report_text(row), vocab, longest)))
    return pairs


def train(o):
    folder = pathlib.Path(o.model)
    model = Model(folder, torch.float64 if o.double else torch.float32)
    pairs = read_pairs(o, folder)
    groups = [{"params": [v for v in model.trained.values() if v.ndim >= 2], "weight_decay": 0.05},
              {"params": [v for v in model.trained.values() if v.ndim < 2], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=o.lr, betas=(0.9, 0.95), eps=1e-8)
    dtype, used, curve = model.p["temperature"].dtype, len(pairs) // o.batch * o.batch, []
    for step in range(o.steps):
        batch = [pairs[(step * o.batch + i) % used] for i in range(o.batch)]
        width = max(len(ids) for _, ids in batch)
        ids, mask = torch.zeros(o.batch, width, dtype=torch.long), torch.zeros(o.batch, width, dtype=dtype)
        for i, (_, t) in enumerate(batch):
            ids[i, : len(t)], mask[i, : len(t)] = torch.tensor(t), 1
        optimiser.zero_grad()
        loss = model.loss(torch.stack([v for v, _ in batch]).to(dtype), ids, mask)
        loss.backward()
        norm = math.sqrt(sum(float((v.grad.double() ** 2).sum()) for v in model.trained.values() if v.grad is not None))
        optimiser.step()
        curve.append({"step": step + 1, "loss": loss.item(), "grad_norm": norm})
    return curve


def compare(curve, log, limit):
    ours = [json.loads(line) for line in open(log, encoding="utf-8")]
    ours = [line for line in ours if "lr" in line]
    if len(ours) < len(curve):
        sys.exit(f"{log} has {len(ours)} steps, wanted {len(curve)}")
    apart = [abs(a["loss"] - b["loss"]) for a, b in zip(curve, ours)]
    norms = [abs(a["grad_norm"] - b["grad_norm"]) / a["grad_norm"] for a, b in zip(curve, ours)]
    first, last = curve[0]["loss"], curve[-1]["loss"]
    print(f"{len(curve)} steps, loss {first:.4f} -> {last:.4f}, from {min(c['loss'] for c in curve):.4f} to "
          f"{max(c['loss'] for c in curve):.4f}")
    print(f"|difference| of the loss: largest {max(apart):.2e} at step {apart.index(max(apart)) + 1}, mean "
          f"{sum(apart) / len(apart):.2e}; of the gradient norm: largest {100 * max(norms):.3f} %")
    return all(d <= limit for d in apart)


def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument("--model", required=True, help="model folder to start from")
    a.add_argument("--reports", required=True)
    a.add_argument("--volumes", required=True)
    a.add_argument("--metadata")
    a.add_argument("--steps", type=int, default=50)
    a.add_argument("--batch", type=int, default=8)
    a.add_argument("--lr", type=float, default=2.5e-6)
    a.add_argument("--double", action="store_true", help="float64 arithmetic")
    a.add_argument("--log", help="log.jsonl to compare with")
    a.add_argument("--limit", type=float, default=1e-3)
    a.add_argument("--out", help="write the curve as JSON")
    o = a.parse_args()
    torch.set_num_threads(1)
    curve = train(o)
    if o.out:
        settings = {k: getattr(o, k) for k in ("steps", "batch", "lr")}
        steps = ",\n ".join(json.dumps(c) for c in curve)
        pathlib.Path(o.out).write_text(json.dumps(settings)[:-1] + ', "curve": [\n ' + steps + "]}\n")
    if o.log and not compare(curve, o.log, o.limit):
        sys.exit(1)


if __name__ == "__main__":
    main()
