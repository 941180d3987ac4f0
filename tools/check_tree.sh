#!/usr/bin/env bash
# What is in the repository: no file over 1 MB, no binaries but pictures and test fixtures, and every source says its
# licence.
# SPDX-License-Identifier: MIT
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh"
bad=0

while read -r f; do
    if (($(stat -c %s "$f") > 1000000)); then
        echo "$f: over 1 MB"
        bad=1
    fi
    if [[ $(head -c 4 "$f" | od -An -tx1 | tr -d ' \n') == 7f454c46 || $f == *.o || $f == *.a || $f == *.so ]]; then
        echo "$f: a compiled file"
        bad=1
    elif [[ $f != docs/*.png && $f != tests/* && -s $f ]] && ! grep -Iq . "$f"; then
        echo "$f: a binary file outside tests/"
        bad=1
    fi
done < <(sources '*')
while read -r f; do
    if ! head -n 40 "$f" | grep -q 'SPDX-License-Identifier: MIT'; then
        echo "$f: no SPDX line"
        bad=1
    fi
done < <(sources '*.c' '*.h' '*.cc' '*.cu' '*.cuh' '*.sh' '*.cmake')
((bad == 0)) && echo "tree: nothing that does not belong"
exit "$bad"
