#!/usr/bin/env bash
# Makes a virtual environment with what the consumer needs, once: fetch.sh DIRECTORY. What is missing for that on a
# Debian machine is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
mkdir -p "$(dirname "$to")"
exec 9>"$to.lock"
flock 9
cmp -s "$here/requirements.txt" "$to/complete" && exit 0

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -q
    $as_root apt-get install -qy --no-install-recommends python3-venv
fi
rm -rf "$to"
python3 -m venv "$to"
"$to/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/requirements.txt" "$to/complete"
