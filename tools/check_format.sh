#!/usr/bin/env bash
# clang-format agrees with every tracked source. `tools/check_format.sh --fix FILE...` formats the files named.
# SPDX-License-Identifier: MIT
set -euo pipefail
if [[ ${1:-} == --fix ]]; then
    shift
    exec clang-format -i "$@"
fi
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh"

if ! command -v clang-format >/dev/null; then
    echo "format: clang-format is missing: run tools/setup.sh" >&2
    exit 1
fi
mapfile -t files < <(git ls-files -- '*.c' '*.h' '*.cc' '*.cu' '*.cuh' 2>/dev/null || sources '*.c' '*.h' '*.cc' '*.cu' '*.cuh')
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 16 clang-format --dry-run -Werror
# Comments are left alone by clang-format (ReflowComments), so their width is checked here.
if ! awk 'length > 120 { printf "%s:%d: %d columns, allowed 120\n", FILENAME, FNR, length; bad = 1 } END { exit bad }' \
    "${files[@]}"; then
    exit 1
fi
echo "format: ${#files[@]} files"
