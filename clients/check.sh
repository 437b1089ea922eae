#!/usr/bin/env bash
# Builds and tests the clients against the corpus that it makes first: clients/check.sh [go|python|node ...], all without
# an argument. It needs what `npm ci && npm run build` made. Tools are installed into $CLIENTS_CACHE (a folder in the
# cache of the user by default).
set -euo pipefail
clients="$(cd "$(dirname "$0")" && pwd)"
root="$(dirname "$clients")"
cache="${CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/postern-clients}"
mkdir -p "$cache"

# The Go modules: the main one, connectauth and policyfile. tools.mod pins what is needed to generate and check, so that users of the
# modules do not depend on it.
check_go() (
  local module unformatted generated="$cache/generated"
  cd "$clients/go"
  rm -rf "$generated"
  "$root/node_modules/.bin/buf" generate -o "$generated"
  diff -r "$generated/posternpb" posternpb || {
    echo "posternpb is not what the protos generate: run go generate in clients/go" >&2
    return 1
  }
  go build -modfile=tools.mod -o "$cache/staticcheck" honnef.co/go/tools/cmd/staticcheck
  for module in . connectauth policyfile; do
    (
      cd "$module"
      unformatted="$(gofmt -l .)"
      test -z "$unformatted" || {
        echo "run gofmt -w on $unformatted" >&2
        exit 1
      }
      go mod tidy -diff
      go vet ./...
      "$cache/staticcheck" ./...
      # Results are cached although the corpus, which is outside of the module, has changed.
      go test -count=1 -race ./...
    )
  done
)

# Lint, types and tests, and the wheel: pure, and typed.
check_python() {
  local bin="$cache/python/bin" wheels
  python3 -m venv "$cache/python"
  "$bin/pip" install --quiet --disable-pip-version-check "pip>=25.1"
  wheels="$(mktemp -d)"
  (
    cd "$clients/python"
    "$bin/pip" install --quiet --upgrade --editable . --group test
    "$bin/ruff" format --check .
    "$bin/ruff" check .
    "$bin/mypy"
    CI=true "$bin/pytest"
    "$bin/python" bench/speed.py 0.2
    "$bin/pip" wheel --quiet --no-deps --wheel-dir "$wheels" .
  )
  # Not with -q: grep would end before the list does, which then fails for a broken pipe.
  "$bin/python" -m zipfile --list "$wheels"/postern_auth-*-py3-none-any.whl | grep 'postern_auth/py.typed' >/dev/null
  rm -rf "$wheels"
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
export CONFORMANCE="$clients/conformance/out"
if [ $# -eq 0 ]; then
  # A client is checked by the function of its name.
  set -- $(compgen -A function | sed -n 's/^check_//p')
fi
for part in "$@"; do
  echo "== clients/$part"
  "check_$part"
done
