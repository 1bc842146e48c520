#!/usr/bin/env bash
# Prints the figures of docs and README, all from one run on one machine. It starts with
# empty caches, which take about 10 GB of disk, and ends with all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
if make --silent status >/dev/null 2>&1; then
  echo 'The sandbox is up, and bench would take it down: run `make down` first.' >&2
  exit 1
fi
caches=$(mktemp --directory)
# Go's module cache is read-only, even to its owner.
trap 'make down; chmod --recursive u+w "$caches"; rm --recursive --force "$caches"' EXIT
export GOCACHE=$caches/build GOMODCACHE=$caches/modules XDG_CACHE_HOME=$caches/sandbox

# Runs a command, and prints how long it took.
measure() {
  local what=$1 start=${EPOCHREALTIME/[.,]/}
  shift
  "$@"
  printf '%-48s %8.2f s\n' "$what" "$((${EPOCHREALTIME/[.,]/} - start))e-6"
}

measure 'cold `make up`' make up
du --summarize --total --block-size=1M .sandbox "$caches"
make down
measure 'warm `make up`' make up
measure '`make up`, nothing to do' make up
go -C sandbox test -run='^$' -bench=. -benchtime=3x -timeout=30m ./e2e
measure '`make edge`' make edge
measure '`make monitoring`' make monitoring
measure '`make unit`' make unit
measure '`make unit`, everything built' make unit
measure '`make test`, everything built' make test
