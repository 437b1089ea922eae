#!/usr/bin/env bash
# Builds and tests the clients against the corpus that it makes first: clients/check.sh [go|python|node ...], all without
# an argument. It needs what `npm ci && npm run build` made. Tools are installed into $CLIENTS_CACHE (a folder in the
# cache of the user by default).
set -euo pipefail
clients="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$clients")"
cache="${CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postern-clients}"
mkdir -p "$cache"

# Every module below clients/go, the main one first.
check_go() {
  local module
  GOBIN="$cache/go" go install honnef.co/go/tools/cmd/staticcheck@2026.1
  for module in "$clients/go" "$clients/go/connectauth"; do
    (
      cd "$module"
      test -z "$(gofmt -l . | tee /dev/stderr)"
      go vet ./...
      "$cache/go/staticcheck" ./...
      go test -race ./...
    )
  done
}

# The package as npm packs it, loaded in both ways. Its sources are tested by `npm test`, and the package in projects of
# other programs by `npm run test:interop`.
check_node() {
  local project
  project="$(mktemp -d)"
  (cd "$clients/node" && npm pack --silent --pack-destination "$project" >/dev/null)
  mkdir -p "$project/node_modules/postern-auth"
  tar -xzf "$project"/postern-auth-*.tgz --strip-components=1 -C "$project/node_modules/postern-auth"
  ln -s "$root/node_modules/@grpc" "$project/node_modules/@grpc"
  (
    cd "$project"
    node -e "if (typeof require('postern-auth').createVerifier !== 'function') process.exit(1)"
    node --input-type=module -e "import { createVerifier } from 'postern-auth'; createVerifier.name;"
    node --input-type=module -e "import { requireTokenHook } from 'postern-auth/fastify'; requireTokenHook.name;"
  )
  rm -r "$project"
}

(cd "$root" && npm run --silent conformance)
if [ $# -eq 0 ]; then
  # A client is checked by the function of its name.
  set -- $(compgen -A function | sed -n 's/^check_//p')
fi
for part in "$@"; do
  echo "== clients/$part"
  "check_$part"
done
