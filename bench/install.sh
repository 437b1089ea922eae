#!/usr/bin/env bash
# Installs h2load, which `npm run bench` needs in addition to npm's packages, from Debian's packages unless it is installed.
set -euo pipefail
source "$(dirname "$0")/../test/debian.sh"
command -v h2load >/dev/null || debian nghttp2-client
