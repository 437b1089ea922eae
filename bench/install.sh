#!/usr/bin/env bash
# Installs what `npm run bench` needs beside npm's packages: h2load, from Debian's, unless it is there.
set -euo pipefail
source "$(dirname "$0")/../test/debian.sh"
command -v h2load >/dev/null || debian nghttp2-client
