#!/usr/bin/env bash
# Builds the programs that vouch for workloads from the Go module proxy: Dex, SPIRE, and Kubernetes' API server with etcd.
# They are kept by version in $XDG_CACHE_HOME/postern-interop, where install.sh finds them: SPIRE and Kubernetes take
# minutes of CPU each, so it does not build them itself.
#
#   bash test/interop/build-workload-programs.sh                  builds what is not there yet
#   bash test/interop/build-workload-programs.sh spire            only SPIRE
#   bash test/interop/build-workload-programs.sh --find spire     prints its folder, or fails
#
# One package is compiled at a time, at the lowest priority. GOFLAGS may say otherwise.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/postern-interop"

# The commit of v2.41.1: its module path lacks the major version, so Go cannot name it by its tag.
DEX=dex-2.41.1
SPIRE=spire-1.13.3
KUBERNETES=kubernetes-1.34.4

build() {
  nice -n 19 go build -p 1 -trimpath -ldflags='-s -w' "$@"
}

# cgo, and so a C compiler, for SQLite, without which it does not compile.
build_dex() {
  cd "$here/workloads/dex" && CGO_ENABLED=1 build -o "$1/" github.com/dexidp/dex/cmd/dex
}

# Without SQLite: the test gives it a PostgreSQL database.
build_spire() {
  cd "$here/workloads/spire" || return
  CGO_ENABLED=0 build -o "$1/" github.com/spiffe/spire/cmd/spire-server github.com/spiffe/spire/cmd/spire-agent
}

# Without optimisation its own packages compile in three quarters of the time.
build_kubernetes() {
  cd "$here/workloads/kubernetes" || return
  build -gcflags='k8s.io/...=-N -l' -o "$1/" k8s.io/kubernetes/cmd/kube-apiserver &&
    build -o "$1/etcd" go.etcd.io/etcd/server/v3
}

folder_of() {
  case "$1" in
    dex) echo "$cache/$DEX" ;;
    spire) echo "$cache/$SPIRE" ;;
    kubernetes) echo "$cache/$KUBERNETES" ;;
    *) echo "$1 is none of dex, spire and kubernetes" >&2 && return 2 ;;
  esac
}

if [ "${1:-}" = --find ]; then
  folder="$(folder_of "${2:-}")"
  if [ ! -d "$folder" ]; then
    echo "not built: run bash test/interop/build-workload-programs.sh $2" >&2
    exit 1
  fi
  echo "$folder"
  exit
fi

[ $# -gt 0 ] || set -- dex spire kubernetes
for name in "$@"; do
  folder="$(folder_of "$name")"
  if [ ! -d "$folder" ]; then
    # Whoever looks meanwhile finds all of it or nothing.
    rm -rf "$folder.new" && mkdir -p "$folder.new"
    began=$SECONDS
    ("build_$name" "$folder.new") || exit
    mv "$folder.new" "$folder"
    echo "$name was built in $((SECONDS - began)) s" >&2
  fi
  echo "$folder"
done
