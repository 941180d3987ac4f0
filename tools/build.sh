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
    cmake --preset "$preset" >"/tmp/ctsearch-configure.$$" 2>&1 || {
        cat "/tmp/ctsearch-configure.$$" >&2
        rm -f "/tmp/ctsearch-configure.$$"
        exit 3
    }
    rm -f "/tmp/ctsearch-configure.$$"
fi
cmake --build "$folder" -- --quiet "$@" >&2
