#!/usr/bin/env bash
# Prints every image of the Dockerfile and the compose file with its digest, one "NAME:TAG@sha256:…" a line. A tag can be
# pushed again, a digest cannot: replace the names by these lines to build and run exactly these images. Needs a Docker
# engine, and pulls the images.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v docker >/dev/null; then
  echo 'pin-images: docker is not installed; install it, or run this script where images are built' >&2
  exit 2
fi
if ! docker version >/dev/null 2>&1; then
  echo 'pin-images: the Docker engine does not respond; start it, or set DOCKER_HOST' >&2
  exit 2
fi

# Names of stages, and scratch, have no colon.
images="$(sed -nE 's/^FROM ([^ ]+:[^ ]+).*/\1/p; s/^ *image: *([^ ]+:[^ ]+).*/\1/p' deploy/Dockerfile docker-compose.yml | sort -u)"
for image in $images; do
  docker pull --quiet "$image" >/dev/null
  digest="$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | grep -o '@sha256:[0-9a-f]*' | head -n 1)"
  echo "$image$digest"
done
