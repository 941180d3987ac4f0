#!/usr/bin/env bash
# Configures and builds into build/ (or build-asan/ with the argument "asan"); further arguments are targets. Works from
# any folder. Once configured, ninja itself notices changed build files and new sources.
# SPDX-License-Identifier: MIT
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
folder=build
if [[ ${1:-} == asan ]]; then
    preset=asan
    folder=build-asan
    shift
fi
if [[ ! -f $folder/build.ninja ]]; then
    echo "build: configuring and compiling into $folder/" >&2
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    if ! cmake --preset "$preset" >"$log" 2>&1; then
        cat "$log" >&2
        exit 3
    fi
fi
quiet=(--quiet)
[[ -t 2 ]] && quiet=() # a terminal shows one moving line
cmake --build "$folder" -- "${quiet[@]}" "$@" >&2
