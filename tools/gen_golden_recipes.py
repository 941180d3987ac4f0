#!/usr/bin/env python3
"""Expected tensors of the recipes merlin, hlip and fvlm on small volumes: tests/golden/recipes.

The steps are written down again here in numpy, float64 throughout, one axis after the other, from what the published
loaders do; nothing of ctsearch is used. Run from anywhere:  tools/gen_golden_recipes.py
With --monai the grid of merlin is also compared with MONAI's own Spacing (needs monai 1.3 and torch).
SPDX-License-Identifier: MIT"""
import argparse
import json
import os
import struct

import numpy as np

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "recipes")

# Axes are named by world direction; `order` is the order of the tensor's axes, outermost first.
RECIPES = {
    "merlin": dict(codes="RAS", order="SRA", mm=dict(S=3.0, R=1.5, A=1.5), window=(-1000, 1000), grid="spacing",
                   mean=0.0, std=1.0, published=[160, 224, 224]),
    "hlip": dict(codes="LPS", order="SPL", mm=dict(S=3.0, P=1.0, L=1.0), window=(-1150, 350), grid="product",
                 mean=(0.485 + 0.456 + 0.406) / 3, std=(0.229 + 0.224 + 0.225) / 3, published=[112, 336, 336]),
    "fvlm": dict(codes="LPS", order="SPL", mm=dict(S=3.0, P=1.0, L=1.0), window=(-1150, 350), grid="ratio",
                 mean=0.0, std=1.0, published=[112, 256, 352]),
}
OPPOSITE = dict(R="L", L="R", A="P", P="A", S="I", I="S")
WORLD = dict(R=(0, 1), L=(0, -1), A=(1, 1), P=(1, -1), S=(2, 1), I=(2, -1))


def affine_of(codes, mm, tilt=0.0):
    """Voxel (i, j, k) to RAS mm for axis codes, turned by `tilt` degrees about the z axis."""
    m = np.zeros((3, 4))
    for a, c in enumerate(codes):
        w, sign = WORLD[c]
        m[w, a] = sign * mm[a]
    t = np.radians(tilt)
    turn = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    m[:, :3] = turn @ m[:, :3]
    m[:, 3] = [-31.5, 17.25, 80.0]
    return m


def resample(v, axis, current, target, grid):
    n = v.shape[axis]
    if grid == "spacing":
        size = int(np.round((n - 1) * (current / target) + 1))
        at = np.arange(size) * (target / current)
    else:
        size = int(n * current / target) if grid == "product" else int(n * (current / target))
        at = (np.arange(size) + 0.5) * (n / size) - 0.5
    at = np.clip(at, 0, n - 1)
    lo = np.floor(at).astype(int)
    hi = np.minimum(lo + 1, n - 1)
    w = (at - lo).reshape([-1 if a == axis else 1 for a in range(3)])
    return np.take(v, lo, axis) * (1 - w) + np.take(v, hi, axis) * w


def prepare(voxels, codes, mm, r, target):
    """voxels [i, j, k] in HU; returns the tensor and the resampled size, both in the recipe's order."""
    v = voxels.astype(np.float64)
    names = list(codes)
    spacing = dict(zip(names, mm))
    for a in range(3):  # every axis runs the way the recipe wants
        if names[a] not in r["codes"]:
            v = np.flip(v, a)
            spacing[OPPOSITE[names[a]]] = spacing[names[a]]
            names[a] = OPPOSITE[names[a]]
    v = v.transpose([names.index(c) for c in r["order"]])
    for a, c in enumerate(r["order"]):
        v = resample(v, a, spacing[c], r["mm"][c], r["grid"])
    size = list(v.shape)
    lo, hi = r["window"]
    v = np.clip((v - lo) / (hi - lo), 0, 1)
    for a in range(3):
        short = max(target[a] - v.shape[a], 0)
        pad = [(0, 0)] * 3
        pad[a] = (short // 2, short - short // 2)
        v = np.pad(v, pad)
        start = (v.shape[a] - target[a]) // 2
        v = np.take(v, range(start, start + target[a]), a)
    return (v - r["mean"]) / r["std"], size


def check_monai(voxels, affine, mm_codes, want):
    import torch
    from monai.data import MetaTensor
    from monai.transforms import CenterSpatialCrop, Orientation, ScaleIntensityRange, Spacing, SpatialPad

    x = MetaTensor(torch.from_numpy(voxels.astype(np.float32))[None],
                   affine=torch.from_numpy(np.vstack([affine, [0, 0, 0, 1]])))
    x = Spacing(pixdim=(1.5, 1.5, 3), mode="bilinear")(Orientation(axcodes="RAS")(x))
    x = ScaleIntensityRange(a_min=-1000, a_max=1000, b_min=0.0, b_max=1.0, clip=True)(x)
    size = [want.shape[1], want.shape[2], want.shape[0]]
    x = CenterSpatialCrop(roi_size=size)(SpatialPad(spatial_size=size)(x))
    got = np.asarray(x)[0].transpose(2, 0, 1)
    print(f"  MONAI: {mm_codes} largest difference {np.abs(got - want).max():.3g}")
    assert np.abs(got - want).max() < 2e-6


def write_safetensors(path, tensors, meta):
    kinds = {"int16": "I16", "float32": "F32", "float64": "F64"}
    header, blob = {"__metadata__": meta}, b""
    for name, t in tensors.items():
        data = np.ascontiguousarray(t).tobytes()
        header[name] = dict(dtype=kinds[str(t.dtype)], shape=list(t.shape),
                            data_offsets=[len(blob), len(blob) + len(data)])
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--monai", action="store_true", help="compare merlin with MONAI itself")
    o = p.parse_args()
    rng = np.random.default_rng(20)
    # name, axis codes of the file, voxels along i, j, k, mm, tilt. In "odd" the two ways of truncating differ.
    volumes = [("lps", "LPS", (17, 14, 12), (0.8, 0.8, 2.5), 0.0), ("ras", "RAS", (12, 20, 9), (1.1, 0.9, 4.0), 0.0),
               ("pir", "PIR", (10, 7, 18), (1.5, 3.0, 0.7), 0.0), ("tilt", "LAS", (15, 13, 8), (0.75, 0.75, 3.0), 8.0)]
    n, mm = next((n, c / 100) for n in range(8, 30) for c in range(40, 200)
                 if int(n * (c / 100) / 3.0) != int(n * ((c / 100) / 3.0)))
    volumes.append(("odd", "LPS", (9, 11, n), (1.0, 1.0, mm), 0.0))
    targets = {"merlin": [6, 11, 10], "hlip": [7, 12, 9], "fvlm": [8, 9, 13]}
    tensors, cases = {}, []
    for name, codes, dim, spacing, tilt in volumes:
        affine = affine_of(codes, spacing, tilt)
        voxels = rng.integers(-1400, 1400, dim).astype(np.int16)
        tensors[f"{name}.voxels"] = voxels.transpose(2, 1, 0)  # k, j, i: i fastest, as a file has it
        tensors[f"{name}.affine"] = affine
        for recipe, r in RECIPES.items():
            out, size = prepare(voxels, codes, spacing, r, targets[recipe])
            tensors[f"{name}.{recipe}"] = out.astype(np.float32)
            cases.append(dict(volume=name, recipe=recipe, codes=codes, spacing=list(spacing), tilt=tilt,
                              target=targets[recipe], published=r["published"], resampled=size))
            if o.monai and recipe == "merlin":
                check_monai(voxels, affine, codes, out)
    os.makedirs(OUT, exist_ok=True)
    write_safetensors(os.path.join(OUT, "recipes.safetensors"), tensors, {"generator": "tools/gen_golden_recipes.py"})
    with open(os.path.join(OUT, "recipes.json"), "w") as f:
        json.dump({"tolerance": 4e-6, "cases": cases}, f, indent=1)
        f.write("\n")
    print(f"{len(cases)} cases in {os.path.normpath(OUT)}; odd: {n} voxels of {mm} mm")


if __name__ == "__main__":
    main()
