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

"$here/../../servers/install.sh" 'command -v node && command -v npm' nodejs npm
rm -rf "$to"
mkdir "$to"
cp "$here/package.json" "$here/check.mjs" "$to"
npm install --prefix "$to" --silent --no-audit --no-fund --no-package-lock
cp "$here/package.json" "$to/complete"
