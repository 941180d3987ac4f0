#!/usr/bin/env bash
# Who includes whom: downward between floors only, own header first, paths from the root, and each third-party library in
# the one file that wraps it. Exit status 1 when a rule is broken, one line a breach.
# SPDX-License-Identifier: MIT
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh"

mapfile -t files < <(sources '*.c' '*.h' '*.cc' '*.cu' '*.cuh')
awk '
BEGIN {
    floor["kernels/base"] = 0
    floor["kernels"] = floor["tokenizer"] = floor["data"] = 1
    floor["encoders"] = floor["index"] = 2
    floor["train"] = 3
    floor["query"] = 4
    # header (regular expression) -> the files (regular expression) that may include it
    only["^lmdb[.]h$"] = "^index/store[a-z_]*[.][ch]$"
    only["^faiss/"] = "^index/faiss_"
    only["^sentencepiece"] = "^tokenizer/[a-z_]*_shim[.]cc$"
    only["^utf8proc[.]h$"] = "^tokenizer/"
    only["^curl/"] = "^kernels/base/http_client[.]c$"
    only["^(isa-l|zlib|isa-l/.*)[.]h$"] = "^data/(inflate|gzip)[a-z_]*[.]c$"
    only["^nifti"] = "^data/nifti[a-z_]*[.]c$"
    only["^png[.]h$"] = "^kernels/base/png_image[.]c$"
    only["^openssl/"] = "^kernels/base/digest[.]c$"
    only["^cblas[.]h$"] = "^kernels/"
    only["^(imm|x86|xmm|emm|amx)intrin[.]h$"] = "^kernels/cpu/(isa_[a-z0-9_]*[.]c|[a-z0-9_]*_template[.]h)$"
    only["^(cuda|nccl|cublas)"] = "^kernels/cuda/"
}
function home(path) {
    if (path ~ /^kernels\/base\//) return "kernels/base"
    return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : ""
}
function breach(text) { printf "%s:%d: %s\n", FILENAME, FNR, text; bad = 1 }
FNR == 1 {
    from = home(FILENAME); first = 1
    own = FILENAME; sub(/[.](c|cc|cu)$/, ".h", own)
    if (own == FILENAME || (getline line < own) < 0) own = ""
    else close(own)
    if (FILENAME ~ /[.]cc$/ && FILENAME !~ /_shim[.]cc$/) breach("C++ belongs in *_shim.cc only")
    if (FILENAME ~ /[.]cuh?$/ && FILENAME !~ /^kernels\/cuda\//) breach("CUDA belongs in kernels/cuda only")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\""); header = part[2]; to = home(header)
    if (first && own != "" && header != own) breach("the own header " own " must come first")
    first = 0
    if (header !~ /\// || header ~ /[.][.]\//) { breach("\"" header "\" is no path from the root"); next }
    if (header ~ /_internal[.]h$/ && to != from && from != "tests") breach(header " is internal to " to "/")
    if (from in floor) {
        if (!(to in floor)) breach(header " is outside the floors")
        else if (to != from && floor[to] >= floor[from])
            breach(from "/ (floor " floor[from] ") may not include " header " (floor " floor[to] ")")
    }
}
/^[ \t]*#[ \t]*include[ \t]*</ {
    if (first && own != "") breach("the own header " own " must come first")
    first = 0
    header = $0; sub(/^[^<]*</, "", header); sub(/>.*/, "", header)
    if (from in floor)
        for (h in only)
            if (header ~ h && FILENAME !~ only[h]) breach("<" header "> is not for this file (see tools/check_includes.sh)")
}
END { exit bad }
' "${files[@]}"
echo "includes: ${#files[@]} files in order"
