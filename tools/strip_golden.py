#!/usr/bin/env python3
"""Copy a golden safetensors file without the tensors that tests can compute from their names.

    tools/strip_golden.py SOURCE.safetensors TARGET.safetensors --drop '^weight[.]' [--keep '_codebook']

Tensors whose name matches --drop are left out unless it matches --keep too; metadata and order stay. Only the standard library is
used. The tests take a weight from the file where it is present and from the formula otherwise, so both copies serve.
SPDX-License-Identifier: MIT"""
import argparse
import json
import re
import struct


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("source")
    options.add_argument("target")
    options.add_argument("--drop", required=True, help="regular expression of names to leave out")
    options.add_argument("--keep", default="(?!)", help="regular expression of names to keep nevertheless")
    o = options.parse_args()
    with open(o.source, "rb") as f:
        raw = f.read()
    (n,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + n])
    data = raw[8 + n :]
    out, parts, at = {}, [], 0
    for name, t in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [-1])[0]):
        if name == "__metadata__":
            out[name] = t
            continue
        if re.search(o.drop, name) and not re.search(o.keep, name):
            continue
        begin, end = t["data_offsets"]
        out[name] = {"dtype": t["dtype"], "shape": t["shape"], "data_offsets": [at, at + end - begin]}
        parts.append(data[begin:end])
        at += end - begin
    text = json.dumps(out, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(o.target, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


if __name__ == "__main__":
    main()
