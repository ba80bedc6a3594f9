#!/usr/bin/env bash
# Puts the AsyncAPI initiative's own parser into a directory, once: fetch.sh DIRECTORY. What is missing for that on a
# Debian machine (Node, npm) is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
mkdir -p "$(dirname "$to")"
exec 9>"$to.lock"
flock 9
cmp -s "$here/package.json" "$to/complete" && cmp -s "$here/check.mjs" "$to/check.mjs" && exit 0

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -q
    $as_root apt-get install -qy --no-install-recommends nodejs npm
fi
rm -rf "$to"
mkdir "$to"
cp "$here/package.json" "$here/check.mjs" "$to"
npm install --prefix "$to" --silent --no-audit --no-fund --no-package-lock
cp "$here/package.json" "$to/complete"
