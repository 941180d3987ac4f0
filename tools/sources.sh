# shellcheck shell=bash
# Sourced by the checks: `sources PATTERN...` prints the project's files that match the patterns (relative to the root),
# also those not committed yet; in a tree without git, all files outside the build folders.
# SPDX-License-Identifier: MIT
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

sources() {
    local f
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -- "$@"
    else
        for f in "$@"; do
            find . \( -path './build*' -o -path './.git' \) -prune -o -type f -name "${f##*/}" -print
        done | sed 's|^\./||'
    fi | sort -u | while read -r f; do
        [[ -f $f ]] && printf '%s\n' "$f"
    done
}
