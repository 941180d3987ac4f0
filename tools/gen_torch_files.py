#!/usr/bin/env python3
"""Write small PyTorch files, what must be read from them, and why the others must be refused.

    tools/gen_torch_files.py tests/golden/torch_files

Needs torch and numpy. Every *.pth is torch.save's own output. files.json says of each whether it is read, under which key its state
dict lies, or with which status and words it is refused; NAME.expected.safetensors holds the values, widened to F32 and I64, with
the original dtypes in its metadata. tests/encoders/test_weights.c goes by that list. valuesN.pkl are plain values in pickle
protocol N, for tests/encoders/test_pickle.c.
SPDX-License-Identifier: MIT"""
import argparse
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import warnings

import numpy
import torch


def expected(path, state):
    """Floating point as F32, everything else as I64; by name within each, as the format wants no gaps."""
    header, parts, at = {"__metadata__": {"dtypes": json.dumps({n: str(t.dtype)[6:] for n, t in state.items()})}}, [], 0
    for name, t in sorted(state.items(), key=lambda item: (item[1].is_floating_point(), item[0])):
        wide = t.detach().to(torch.float32 if t.is_floating_point() else torch.int64).contiguous()
        raw = wide.numpy().tobytes()
        header[name] = {
            "dtype": "F32" if t.is_floating_point() else "I64",
            "shape": list(t.shape),
            "data_offsets": [at, at + len(raw)],
        }
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def state_dict():
    linear = torch.nn.Sequential(collections.OrderedDict(fc=torch.nn.Linear(3, 2), norm=torch.nn.BatchNorm1d(2)))
    with torch.no_grad():
        for i, t in enumerate(linear.state_dict().values()):
            t.copy_(torch.arange(t.numel()).reshape(t.shape) + i)
    return linear, linear.state_dict()


def training_checkpoint():
    """What a training script saves; everything but "model" is skipped."""
    model, state = state_dict()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    args = argparse.Namespace(
        lr=1e-4, epochs=3, device=torch.device("cuda:0"), output_dir=pathlib.PurePosixPath("out").name, dtype=torch.float16,
        ranks={0, 1}, part=slice(0, 4), size=torch.Size([1, 2]), best=numpy.float64(0.5), history=numpy.arange(3.0), seed=2**70,
        nested=argparse.Namespace(a=[1, (2, None)], b=b"\x00\xff", c=float("nan")), names=frozenset(["a"]),
        counts=collections.Counter("ab"), by_name=collections.defaultdict(list, x=[1]))
    frozen = collections.OrderedDict((n, t.clone()) for n, t in state.items())
    frozen._metadata = state._metadata
    return {"model": frozen, "optimizer": optimizer.state_dict(), "epoch": 3, "loss": torch.tensor(0.25), "args": args,
            "rng": torch.get_rng_state()}, frozen


def unusual_tensors():
    noted = torch.arange(6.0).reshape(2, 3)
    noted.origin = "an attribute makes torch save the class too"
    parameter = torch.nn.Parameter(torch.arange(4.0))
    parameter.lr_scale = 0.1
    base = torch.arange(24.0)
    return collections.OrderedDict(
        u16=torch.tensor([0, 1, 65535], dtype=torch.uint16),
        u32=torch.tensor([0, 4294967295], dtype=torch.uint32),
        u64=torch.tensor([0, 2**62], dtype=torch.uint64),
        noted=noted,
        noted_transposed=noted.t(),
        parameter=parameter,
        eight=base.reshape(1, 2, 1, 3, 1, 2, 1, 2).permute(7, 6, 5, 4, 3, 2, 1, 0),
        window=base.unfold(0, 5, 3),
        expanded=base[4].expand(3, 2),
        nothing=torch.zeros(2, 0, 3),
        nothing_shared=base[24:],
        nothing_beyond=torch.zeros(2, 0, 3)[1:],
        flags=torch.tensor([[True, False], [False, True]]).t(),
        i64=torch.tensor([-(2**63), 2**63 - 1, -1]),
        buffer=torch.nn.Buffer(torch.tensor([1.5, -0.0, float("inf")])),
    )


def accepted():
    checkpoint, state = training_checkpoint()
    yield "training", checkpoint, "model", state
    _, state = state_dict()
    yield "under_module", {"module": state, "step": 1}, "module", state
    yield "under_model_state_dict", {"model_state_dict": dict(state), "epoch": 1}, "model_state_dict", state
    yield "with_other_entries", {**state, "version": "1", "config": {"dim": 3}, "none": None}, "", state
    unusual = unusual_tensors()
    yield "unusual", unusual, "", unusual


class OwnModel(torch.nn.Linear):
    pass


def refused():
    w = torch.arange(6.0).reshape(2, 3)
    yield "nine_axes", {"w": torch.zeros([1] * 9)}, "limit", "9 axes"
    yield "complex", {"w": w, "c": torch.zeros(2, dtype=torch.complex64)}, "unsupported", "ComplexFloatStorage"
    yield "float8", {"w": torch.zeros(4).to(torch.float8_e4m3fn)}, "unsupported", "float8_e4m3fn"
    yield "negated", {"w": torch._neg_view(w)}, "unsupported", "resolve_neg"
    yield "broadcast", {"w": torch.zeros(1).expand(1 << 20, 1 << 20)}, "limit", "repeat"
    yield "two_models", {"model": {"w": w}, "state_dict": {"w": w + 1}}, "input", "\"model\" and \"state_dict\""
    yield "no_tensors", {"epoch": 3, "weights": {"w": w}, 7: 1}, "format", "epoch, weights, (no string)"
    yield "list_of_tensors", [w, w], "format", "no mapping"
    yield "numbered", {0: w, 1: w}, "format", "no string"
    yield "whole_model", OwnModel(3, 2), "unsupported", "__main__.OwnModel"
    yield "sparse", {"w": w.to_sparse()}, "unsupported", "_rebuild_sparse_tensor"
    yield "path", {"w": w, "out": pathlib.PurePath}, "unsupported", "pathlib.PurePath"
    yield "nameless", {"": w}, "limit", "0 bytes"
    yield "control_character", {"a\nb": w}, "format", "printable"


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=pathlib.Path)
    folder = options.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(4)
    warnings.simplefilter("ignore")
    files = {}
    for name, saved, key, state in accepted():
        torch.save(saved, folder / f"{name}.pth")
        expected(folder / f"{name}.expected.safetensors", state)
        files[f"{name}.pth"] = {"key": key}
    for name, saved, status, says in refused():
        torch.save(saved, folder / f"{name}.pth")
        files[f"{name}.pth"] = {"refused": status, "says": says}
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    (folder / "compiled.pth").write_bytes(buffer.getvalue())
    files["compiled.pth"] = {"refused": "unsupported", "says": "TorchScript"}
    values = [None, True, False, 200, 40000, -7, 2**40, -(2**40), 2**70, 1.5, "h\u00e9", (), (1,), (1, 2, 3, 4), [1, 2], {"a": 1}, {3}]
    for protocol in range(2, 6):
        (folder / f"values{protocol}.pkl").write_bytes(pickle.dumps(values, protocol))
    (folder / "files.json").write_text(json.dumps(files, indent=1) + "\n")
    print(f"{len(files)} files of torch {torch.__version__} in {folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
