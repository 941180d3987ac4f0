#!/usr/bin/env bash
# Every header compiles alone, as C11 and as C++17. *_template.h needs the parameters of its user and is left out.
# SPDX-License-Identifier: MIT
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh"

mapfile -t headers < <(sources '*.h' | grep -v '_template\.h$')
include=$(find /usr/include -maxdepth 2 -type d -name openblas-openmp | head -n 1)
export include
one() {
    gcc -std=c11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror -I. ${include:+-isystem "$include"} -x c -include "$1" \
        /dev/null || return 1
    g++ -std=c++17 -fsyntax-only -Wall -Wextra -Werror -I. ${include:+-isystem "$include"} -x c++ -include "$1" /dev/null
}
export -f one
printf '%s\n' "${headers[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {} || { echo "headers: {} does not compile alone"; exit 1; }'
echo "headers: ${#headers[@]} compile alone"
