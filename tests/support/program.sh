# Sourced by the tests that call the program from a shell: $ctsearch, and a scratch folder $folder as the working folder,
# removed at the end. SPDX-License-Identifier: MIT
ctsearch=${CTS_BIN:?the program under test}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# code WANTED COMMAND...: the exit code, and one sentence on standard error when it is not 0
code() {
    local wanted=$1 got=0
    shift
    "$@" >out.txt 2>err.txt || got=$?
    [[ $got == "$wanted" ]] || fail "exit code $got instead of $wanted: $* ($(tail -n 1 err.txt))"
}
# has FILE TEXT
has() {
    grep -qF -- "$2" "$1" || fail "$1 does not have: $2
$(head -c 2000 "$1")"
}
