#!/usr/bin/env bash
# Builds and tests the clients against the corpus that it makes first: clients/check.sh [go|python|node ...], all without
# an argument. It needs what `npm ci && npm run build` made. Tools are installed into $CLIENTS_CACHE (a folder in the
# cache of the user by default).
set -euo pipefail
clients="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$clients")"
cache="${CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postern-clients}"
mkdir -p "$cache"

# The Go modules: the main one, and connectauth. tools.mod pins what is needed to generate and check, so that users of the
# modules do not depend on it.
check_go() (
  local module generated="$cache/generated"
  cd "$clients/go"
  rm -rf "$generated"
  "$root/node_modules/.bin/buf" generate -o "$generated"
  diff -r "$generated/posternpb" posternpb || {
    echo "posternpb is not what the protos generate: run go generate in clients/go" >&2
    return 1
  }
  go build -modfile=tools.mod -o "$cache/staticcheck" honnef.co/go/tools/cmd/staticcheck
  for module in . connectauth; do
    (
      cd "$module"
      test -z "$(gofmt -l . | tee /dev/stderr)"
      go mod tidy -diff
      go vet ./...
      "$cache/staticcheck" ./...
      go test -race ./...
    )
  done
)

(cd "$root" && npm run --silent conformance)
if [ $# -eq 0 ]; then
  # A client is checked by the function of its name.
  set -- $(compgen -A function | sed -n 's/^check_//p')
fi
for part in "$@"; do
  echo "== clients/$part"
  "check_$part"
done
