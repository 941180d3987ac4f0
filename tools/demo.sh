#!/usr/bin/env bash
# From a fresh clone to ranked answers: packages, build, `ctsearch demo`. Arguments go to the demo. Works from any folder.
# SPDX-License-Identifier: MIT
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

"$root/tools/setup.sh"
"$root/tools/build.sh" ctsearch
exec "$root/build/ctsearch" demo "$@"
