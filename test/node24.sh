#!/usr/bin/env bash
# Runs the tests, or those that are named, on Node 24, which the npm package `node` carries. It is installed in a folder
# of its own: as a dependency it would take the place of `node` in every script.
set -euo pipefail
cd "$(dirname "$0")/.."
home="${INTEROP_DIR:-.interop}/node24"
npm install --prefix "$home" --no-save --no-package-lock --no-audit --no-fund --silent node@24.21.0
bin="$(cd "$home/node_modules/.bin" && pwd)"
echo "tests on Node 24: $("$bin/node" --version)"
PATH="$bin:$PATH" exec "$bin/node" --experimental-vm-modules --no-warnings node_modules/jest/bin/jest.js "$@"
