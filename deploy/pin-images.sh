#!/usr/bin/env bash
# Prints the digest of every image that the Dockerfile and the compose file name, one "NAME:TAG@sha256:…" a line. A
# version can be pushed again, a digest cannot: put the lines in the place of the names to build and run these very images.
# Needs a Docker engine, and pulls the images.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v docker >/dev/null; then
  echo 'pin-images: there is no docker here; install it, or run this where images are built' >&2
  exit 2
fi
if ! docker version >/dev/null 2>&1; then
  echo 'pin-images: the Docker engine does not answer; start it, or point DOCKER_HOST at one' >&2
  exit 2
fi

# Stages are named by words without a colon, and scratch is no image.
images="$(sed -nE 's/^FROM ([^ ]+:[^ ]+).*/\1/p; s/^ *image: *([^ ]+:[^ ]+).*/\1/p' deploy/Dockerfile docker-compose.yml | sort -u)"
for image in $images; do
  docker pull --quiet "$image" >/dev/null
  digest="$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | grep -o '@sha256:[0-9a-f]*' | head -n 1)"
  echo "$image$digest"
done
