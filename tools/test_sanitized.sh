#!/usr/bin/env bash
# The fast and golden tests of build-asan/ (AddressSanitizer and UndefinedBehaviorSanitizer, made by tools/build.sh asan).
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ! -f build-asan/build.ninja ]]; then
    echo "build-asan/ is missing: run tools/build.sh asan" >&2
    exit 1
fi
exec ctest --test-dir build-asan -L 'fast|golden' --output-on-failure -j "$(nproc)"
