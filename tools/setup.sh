#!/usr/bin/env bash
# Installs the Debian 12 packages that building and testing need, only those missing, as root or with sudo.
# SPDX-License-Identifier: MIT
set -euo pipefail

packages=(
    gcc g++ libgfortran-12-dev cmake ninja-build clang-format
    libfaiss-dev libopenblas-openmp-dev liblmdb-dev libsentencepiece-dev libutf8proc-dev
    libisal-dev zlib1g-dev libpng-dev libjansson-dev libssl-dev libcmocka-dev
)

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not a Debian system; install the likes of: ${packages[*]}" >&2
    exit 3
fi
installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package} ' 2>/dev/null) "
missing=()
for p in "${packages[@]}"; do
    [[ $installed == *" ii $p "* ]] || missing+=("$p")
done
if ((${#missing[@]} == 0)); then
    exit 0
fi

sudo=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "setup: run this as root, or install sudo; missing packages: ${missing[*]}" >&2
        exit 3
    fi
    sudo=(sudo)
fi
echo "setup: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1; then
        cat "$log" >&2
        echo "setup: failed: $*" >&2
        exit 3
    fi
}
run apt-get update
run apt-get install -y --no-install-recommends "${missing[@]}"
echo "setup: done" >&2
