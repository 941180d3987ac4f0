#!/usr/bin/env bash
# From a fresh clone to a tested tree: packages, build, build with sanitizers, and the whole suite through ctest (the
# sanitizer build's part of it and the checks of tools/check_*.sh are tests too). Works from any folder.
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/setup.sh
tools/build.sh
tools/build.sh bench
tools/build.sh asan
ctest --test-dir build -C full --output-on-failure -j "$(nproc)" "$@"
